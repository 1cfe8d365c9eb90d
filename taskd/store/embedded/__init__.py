"""A PostgreSQL of taskd's own, for when no database is configured.

    hold                take and release a hold: who wants the server to run has one
    ensure_server       start it, or find it running; its DSN
    wait_until_stopped  for whoever wants to remove its directory

Several daemons and clients share one server, so none of them owns it: a small detached process
does, the keeper (keeper.py). The names are loaded when they are first used: the keeper, whose
memory counts, lives in this package and needs none of them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from taskd.store.embedded.server import Server, ensure_server, wait_until_stopped
    from taskd.store.embedded.users import Hold, hold

__all__ = ["Hold", "Server", "ensure_server", "hold", "wait_until_stopped"]

_HOMES = {
    "Hold": "users",
    "Server": "server",
    "ensure_server": "server",
    "hold": "users",
    "wait_until_stopped": "server",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
