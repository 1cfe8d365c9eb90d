"""How psycopg waits under gevent: on the hub, with a deadline over the whole statement."""

from __future__ import annotations

from typing import TypeVar

import gevent
from gevent import get_hub
from psycopg.abc import PQGen

from taskd.errors import TaskdError
from taskd.store.connect import Connection

Result = TypeVar("Result")

_FOR_A_HUB = ("loop", "libev_backend", "format_context", "track_greenlet_tree", "monitor_thread")


class PatchedTooLate(TaskdError):
    """psycopg was imported before gevent had patched, so its waits would block every greenlet."""


def wait_on_hub(gen: PQGen[Result], fileno: int, timeout: float) -> Result:
    """Drive a psycopg generator while other greenlets run.

    Raises TimeoutError after `timeout` seconds.
    """
    timer = gevent.Timeout.start_new(timeout, TimeoutError(f"no answer in {timeout:g} s"))
    watcher = None
    watched = 0
    try:
        wanted = int(next(gen))
        hub = get_hub()
        while True:
            if wanted != watched:  # psycopg's and libev's bits for read and write are the same
                if watcher is not None:
                    watcher.close()
                watcher, watched = hub.loop.io(fileno, wanted), wanted
            hub.wait(watcher)
            # Either of what was asked for may be ready; libpq finds out without blocking.
            wanted = int(gen.send(wanted))
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        if watcher is not None:
            watcher.close()
        timer.close()


def read_settings() -> None:
    """Let gevent read what it reads for its first hub, and keeps; makes no hub."""
    for name in _FOR_A_HUB:
        getattr(gevent.config, name)


def install() -> None:
    """Let taskd's connections of this process wait on the hub."""
    Connection.waiter = staticmethod(wait_on_hub)


def require_patched_psycopg() -> None:
    """Raise PatchedTooLate if psycopg chose its C wait function, which knows no gevent."""
    from psycopg import waiting

    if waiting.wait.__module__ != "psycopg.waiting":
        raise PatchedTooLate(
            f"psycopg waits with {waiting.wait}: it was imported before gevent patched"
        )
