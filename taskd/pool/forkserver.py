"""The process that imports a pool's code once and forks its workers.

    import ─► look what is open ─► freeze ─► ready ─► fork, fork, fork …
                │
                └─ threads or sockets, which children cannot share: it says so and ends, and the
                   master starts one that imports nothing; there each worker imports for itself

A new generation is a new forkserver from the seed, so no module of the old code is left in it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from setproctitle import setproctitle

from taskd import logs
from taskd.board import OffersTooLong
from taskd.board.offers import encode_offers
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.pool import control, crash, imports, preflight, spawn
from taskd.pool.control import Message
from taskd.pool.place import Place
from taskd.pool.preflight import Leftovers
from taskd.pool.roots import Roots
from taskd.tasks.offers import offered_versions
from taskd.tasks.publish import describe_tasks


@dataclass(frozen=True, slots=True)
class Pool:
    """Whose forkserver it is; a late one leaves the imports to its workers."""

    name: str
    generation: int
    is_late: bool = False


class Forkserver:
    """The forkserver of one pool and generation."""

    def __init__(self, roots: Roots, settings: Settings, pool: Pool) -> None:
        self._roots = roots
        self._settings = settings
        self._pool = pool

    def run(self) -> int:
        """Import, report, and fork what is ordered until the master closes the socket."""
        spawn.ignore_orders()
        logs.install(Events(), self._settings.log, f"forkserver {self._pool.name}")
        setproctitle(f"taskd: {self._pool.name} forkserver, generation {self._pool.generation}")
        imports.find_here_first()
        if not self._prepare():
            return 0
        while (order := control.receive(self._roots.control)) is not None:
            self.obey(order[0])
        return 0

    def obey(self, order: Message) -> None:
        """Fork one worker."""
        if order["op"] == "reopen":
            return  # workers see for themselves when their log file was moved
        if order["op"] != "fork":
            raise ValueError(f"not an order for a forkserver: {order['op']!r}")
        spawn.fork_below_master(
            self._roots.master, partial(self._live, order), partial(self._announce, order["slot"])
        )

    def _prepare(self) -> bool:
        """Import the users' modules unless that is left to the workers; whether to go on."""
        if self._pool.is_late:
            spawn.freeze()
            control.send(self._roots.control, {"op": "ready", "tasks": []})
            return True
        before = preflight.open_sockets()
        try:
            imports.import_code(self._settings.imports, self._settings.middleware)
            encode_offers(offered_versions(self._settings))
        except (imports.ImportFailed, OffersTooLong) as failed:
            control.send(self._roots.control, {"op": "failed", "error": str(failed)})
            return False
        found = preflight.find_leftovers(before)
        if found.can_fork:
            spawn.freeze()
        answer: Message = {"op": "ready"} if found.can_fork else _unsuitable(found)
        control.send_tasks(self._roots.control, answer, describe_tasks(self._settings.imports))
        return found.can_fork

    def _announce(self, slot: int, pid: int) -> None:
        control.send(self._roots.control, {"op": "forked", "slot": slot, "pid": pid})

    def _live(self, order: Message) -> int:
        """In the child: be a worker."""
        self._roots.control.close()
        is_greenlet = self._settings.pools[self._pool.name].greenlets is not None
        # A C loop ignores TERM, and the one job of a process worker is not worth a drain.
        spawn.die_with_master(self._roots.master, signal.SIGTERM if is_greenlet else signal.SIGKILL)
        spawn.forget_handlers()
        spawn.reseed()
        place = self._place(order)
        place.enter()
        crash.leave_last_words(place)
        setproctitle(f"taskd: worker {place.name}")
        if self._pool.is_late:
            imports.import_code(self._settings.imports, self._settings.middleware)
        # Imported in the seed already; by name, because one of the two must never see gevent.
        module = import_module("taskd.pool.worker" if is_greenlet else "taskd.pool.process")
        run: Callable[[Place], int] = module.run_worker
        return run(place)

    def _place(self, order: Message) -> Place:
        dsn: str = order["dsn"]
        return Place(
            settings=self._settings,
            pool=self._pool.name,
            slot=order["slot"],
            generation=order["generation"],
            board=self._roots.board,
            wakeups=self._roots.wakeups,
            kick_fd=self._roots.kick_fd,
            dsn=dsn,
            is_canary=order.get("is_canary", False),
        )


def _unsuitable(found: Leftovers) -> Message:
    names = [f"thread {name}" for name in found.threads]
    names += [f"socket {name}" for name in found.sockets]
    return {"op": "unsuitable", "found": names}
