"""What a seed does: import the runtime, freeze it, and fork whatever the master orders.

No hub, no thread and no code of the users ever runs here, so all that is forked from it starts
clean and shares its pages:

    seed ──► maintenance
         ──► forkserver of a pool and generation ──► its workers
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from importlib import import_module

from setproctitle import setproctitle

from taskd import __version__
from taskd.clock import monotonic_ns
from taskd.config.handover import take_settings
from taskd.config.settings import Settings
from taskd.errors import OtherVersion, TaskdError
from taskd.events import Events
from taskd.pool import control, originals, preflight, spawn
from taskd.pool.control import Message
from taskd.pool.forkserver import Forkserver, Pool
from taskd.pool.roots import Roots, read_birth


class Kind(StrEnum):
    """Which pools' workers a seed is for."""

    GREENLET = "greenlet"
    PROCESS = "process"


# The workers, and what a first hub and a first connection would import in each of them.
_RUNTIME = {
    Kind.GREENLET: ("taskd.pool.worker", "taskd.pool.waiting", "gevent.hub", "pprint"),
    Kind.PROCESS: ("taskd.pool.process",),
}

# Maintenance stands above the pools, and they know nothing of it. It imports its own code after the
# fork, because nobody else is to have these pages.
_MAINTENANCE = "taskd.maintenance.process"


class SeedNotClean(TaskdError):
    """The runtime itself started a thread or a hub: no child could be forked safely."""


def run_seed(kind: Kind, fd: int, collections: tuple[int, int, int]) -> int:
    """Be a seed until the master closes the control socket; the exit status.

    `collections`: the thresholds of the garbage collector, from when all is imported.
    """
    birth = read_birth(fd)
    spawn.die_with_master(birth["master"], signal.SIGKILL)
    spawn.ignore_orders()
    spawn.read_from_null()
    setproctitle(f"taskd: {kind} seed")
    own = originals.Socket(fileno=birth["control_fd"])
    try:
        _require_version(birth["version"])
        roots = Roots.take(birth, own)
        _import_runtime(kind)
    except (ImportError, TaskdError) as error:
        is_outdated = isinstance(error, OtherVersion)
        control.send(own, {"op": "failed", "error": str(error), "outdated": is_outdated})
        return spawn.UNEXPECTED_EXIT
    spawn.freeze()
    gc.set_threshold(*collections)
    control.send(own, {"op": "ready"})
    return Seed(roots).run()


def _require_version(masters: str) -> None:
    """Refuse to mix two versions in one tree: a seed may start long after its master."""
    if masters != __version__:
        raise OtherVersion(__version__, masters)


def _import_runtime(kind: Kind) -> None:
    for name in _RUNTIME[kind]:
        import_module(name)
    import_module("taskd.store.connect").learn_parameters()
    if kind is Kind.GREENLET:
        waiting = import_module("taskd.pool.waiting")
        waiting.require_patched_psycopg()
        waiting.read_settings()
    if spawn.thread_count() != 1 or preflight.has_hub():
        raise SeedNotClean("the runtime left a thread or a hub open: children cannot be forked")


class Seed:
    """Carries out the master's orders, one after the other."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def run(self) -> int:
        """Fork whatever is ordered; returns when the master has closed the socket."""
        while (order := control.receive(self._roots.control)) is not None:
            self.obey(*order)
        return 0

    def obey(self, order: Message, fds: Sequence[int]) -> None:
        """Fork what an order asks for; with it came its control socket and its settings."""
        if order["op"] != "fork" or len(fds) != 2:
            raise ValueError(f"not an order for a seed: {order['op']!r}")
        spawn.fork_below_master(
            self._roots.master,
            partial(self._live, order, *fds),
            partial(self._announce, order["key"]),
        )
        for fd in fds:
            os.close(fd)

    def _announce(self, key: object, pid: int) -> None:
        control.send(self._roots.control, {"op": "forked", "key": key, "pid": pid})

    def _live(self, order: Message, control_fd: int, settings_fd: int) -> int:
        """In the child: be what was ordered."""
        self._roots.control.close()
        own = replace(self._roots, control=originals.Socket(fileno=control_fd))
        settings = take_settings(settings_fd)
        roles: dict[str, Callable[[Message, Roots, Settings], int]] = {
            "maintenance": _be_maintenance,
            "forkserver": _be_forkserver,
        }
        return roles[order["role"]](order, own, settings)


def _be_forkserver(order: Message, roots: Roots, settings: Settings) -> int:
    spawn.die_with_master(roots.master, signal.SIGKILL)
    pool = Pool(order["pool"], order["generation"], is_late=order["late"])
    return Forkserver(roots, settings, pool).run()


def _be_maintenance(order: Message, roots: Roots, settings: Settings) -> int:
    # No death with the master: it beats on until the workers have drained.
    roots.board.maintenance_beat = monotonic_ns()  # before it imports, and after: both take time
    try:
        maintenance = import_module(_MAINTENANCE)
    except Exception as error:  # whatever half of an installation is there
        control.send(roots.control, {"op": "failed", "error": repr(error)})
        return spawn.UNEXPECTED_EXIT
    roots.board.maintenance_beat = monotonic_ns()
    spawn.accept_orders()
    setup = maintenance.Setup(
        settings=settings,
        board=roots.board,
        wakeups=roots.wakeups,
        control=roots.control,
        kick_fd=roots.kick_fd,
        incarnation=order["incarnation"],
        dead_incarnations=tuple(order["dead_incarnations"]),
        version=__version__,
        events=Events(),
    )
    status: int = maintenance.run_maintenance(setup)
    return status
