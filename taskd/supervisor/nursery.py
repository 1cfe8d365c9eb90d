"""Seeds and forkservers: everything that other processes are forked from.

A *brood* is what one pool's workers come from: the forkserver whose code has proved to import, and
perhaps a newer one that is still importing. The newer takes over when it says "ready"; when its
code fails to import, the older goes on as if nothing had been.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from taskd.board import Board, Wakeups
from taskd.clock import monotonic
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.supervisor.channel import Channel, Message
from taskd.supervisor.child import Forkserver, Seed, how_it_ended
from taskd.supervisor.events import HelperDied, ImportFailed, ImportsAfterFork
from taskd.supervisor.restart import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """The descriptors that every process of the tree has from the master."""

    board: Board
    wakeups: Wakeups
    kick_fd: int
    tree_fd: int


@dataclass(slots=True)
class Brood:
    """The forkservers of one pool. `refused` is the generation whose code did not import."""

    pool: str
    current: Forkserver | None = None
    coming: Forkserver | None = None
    refused: int = 0
    late: bool = False
    has_imported: bool = False
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def generation(self) -> int | None:
        """The generation that workers are forked from, None if there is no forkserver."""
        return self.current.generation if self.current is not None else None


class Nursery:
    """Keeps the seeds and broods that the settings want."""

    def __init__(self, settings: Settings, inheritance: Inheritance, events: Events) -> None:
        self.settings = settings
        self.generation = 1
        self.broods = {pool: Brood(pool) for pool in settings.pools}
        self.seeds: dict[str, Seed] = {}
        self.on_tasks: Callable[[str, list[Message]], None] = lambda pool, tasks: None
        self.on_maintenance_forked: Callable[[int], None] = lambda pid: None
        self._inheritance = inheritance
        self._events = events
        self._backoffs: dict[str, Backoff] = {}
        self._ordered: dict[str, Forkserver] = {}
        self._tasks: dict[int, list[Message]] = {}

    # -- what is wanted ---------------------------------------------------------------------------

    def reload(self, settings: Settings) -> None:
        """Make a new generation of every pool's forkserver from these settings."""
        self.settings = settings
        self.generation += 1
        for pool in settings.pools:
            brood = self.broods.setdefault(pool, Brood(pool))
            brood.late = False
            brood.backoff.forget()
        for pool in set(self.broods) - set(settings.pools):
            self._drop(self.broods.pop(pool))

    def tend(self) -> None:
        """Start what is missing, as far as back-off allows."""
        now = monotonic()
        for kind in self._kinds():
            backoff = self._backoffs.setdefault(kind, Backoff())
            if kind not in self.seeds and backoff.may_start(now):
                self.seeds[kind] = self._start_seed(kind)
        for brood in self.broods.values():
            if self._is_wanting(brood) and brood.backoff.may_start(now):
                self._order_forkserver(brood)

    def _kinds(self) -> set[str]:
        return {pool.kind for pool in self.settings.pools.values()}

    def _is_wanting(self, brood: Brood) -> bool:
        if brood.coming is not None:
            return False
        if brood.current is None:
            return True
        return self.generation not in (brood.current.generation, brood.refused)

    @property
    def nothing_imports(self) -> str | None:
        """The pool whose code was refused before it had ever run, if there is one."""
        for brood in self.broods.values():
            if brood.refused and not brood.has_imported:
                return brood.pool
        return None

    # -- seeds ------------------------------------------------------------------------------------

    def seed_for_maintenance(self) -> Seed | None:
        """The seed that maintenance is to be forked from, once it is ready."""
        for kind in ("greenlet", "process"):
            if kind in self._kinds():
                seed = self.seeds.get(kind)
                return seed if seed is not None and seed.is_ready else None
        return None

    def _start_seed(self, kind: str) -> Seed:
        channel = Channel()
        inherited = self._inheritance
        birth = {
            "settings": self.settings.to_json(),
            "board_fd": inherited.board.fd,
            "control_fd": channel.child_fd,
            "wakeup_fds": inherited.wakeups.fds,
            "kick_fd": inherited.kick_fd,
            "tree_fd": inherited.tree_fd,
            "master": os.getpid(),
        }
        birth_fd = os.memfd_create("taskd-birth")
        os.write(birth_fd, json.dumps(birth).encode())
        os.lseek(birth_fd, 0, os.SEEK_SET)
        for fd in (birth_fd, channel.child_fd):
            os.set_inheritable(fd, True)
        flags = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *flags, "-m", "taskd.pool.seed", kind, str(birth_fd)]
        pid = os.posix_spawn(sys.executable, command, os.environ)
        os.close(birth_fd)
        channel.handed_over()
        return Seed(pid=pid, kind=kind, channel=channel)

    # -- forkservers ------------------------------------------------------------------------------

    def _order_forkserver(self, brood: Brood) -> None:
        kind = self.settings.pools[brood.pool].kind
        seed = self.seeds.get(kind)
        if seed is None or not seed.is_ready:
            return
        generation = self.generation
        channel = Channel()
        key = f"{brood.pool}:{generation}:{channel.child_fd}:{monotonic()}"
        coming = Forkserver(
            pool=brood.pool, generation=generation, channel=channel, is_late=brood.late
        )
        seed.channel.send(
            "fork",
            fd=channel.child_fd,
            role="forkserver",
            key=key,
            pool=brood.pool,
            generation=generation,
            late=brood.late,
            settings=self.settings.to_json(),
        )
        channel.handed_over()
        self._ordered[key] = coming
        brood.coming = coming

    def _drop(self, brood: Brood) -> None:
        for forkserver in (brood.current, brood.coming):
            if forkserver is not None:
                forkserver.channel.close()

    # -- what they say ----------------------------------------------------------------------------

    def talkers(self) -> Iterator[Seed | Forkserver]:
        """Everybody here who may have something to say."""
        yield from list(self.seeds.values())
        for brood in list(self.broods.values()):
            yield from (one for one in (brood.current, brood.coming) if one is not None)

    def hear_seed(self, seed: Seed, message: Message) -> None:
        """A seed is ready, or has forked what was ordered."""
        match message["op"]:
            case "ready":
                seed.is_ready = True
            case "failed":
                self._events.emit(ImportFailed(f"(seed {seed.kind})", message["error"], False))
            case "forked" if message["key"] in self._ordered:
                self._ordered.pop(message["key"]).pid = message["pid"]
            case "forked":
                self.on_maintenance_forked(message["pid"])

    def hear_forkserver(self, forkserver: Forkserver, message: Message) -> None:
        """A forkserver has imported its code, or could not."""
        brood = self.broods.get(forkserver.pool)
        match message["op"]:
            case "tasks":
                self._tasks.setdefault(id(forkserver), []).extend(message["tasks"])
            case "ready" if brood is not None:
                self._take_over(brood, forkserver, message.get("tasks", []))
            case "unsuitable" if brood is not None:
                self._events.emit(ImportsAfterFork(brood.pool, tuple(message["found"])))
                self.on_tasks(brood.pool, self._tasks.pop(id(forkserver), []) + message["tasks"])
                brood.late = True
                self._discard(brood, forkserver)
            case "failed" if brood is not None:
                self._refuse(brood, forkserver, message["error"])

    def _take_over(self, brood: Brood, forkserver: Forkserver, tasks: list[Message]) -> None:
        if brood.current is not None and brood.current is not forkserver:
            brood.current.channel.close()
        forkserver.is_ready = brood.has_imported = True
        brood.current, brood.coming = forkserver, None
        if not forkserver.is_late:  # a late one has imported nothing, so it knows no tasks
            self.on_tasks(brood.pool, self._tasks.pop(id(forkserver), []) + tasks)

    def _refuse(self, brood: Brood, forkserver: Forkserver, error: str) -> None:
        self._events.emit(ImportFailed(brood.pool, error, brood.current is not None))
        brood.refused = forkserver.generation
        brood.backoff.ended(0.0, monotonic())
        self._discard(brood, forkserver)

    def _discard(self, brood: Brood, forkserver: Forkserver) -> None:
        self._tasks.pop(id(forkserver), None)
        forkserver.channel.close()
        if brood.coming is forkserver:
            brood.coming = None

    # -- their ends -------------------------------------------------------------------------------

    def reaped(self, pid: int, status: int) -> bool:
        """Note the end of one of ours; whether it was."""
        return self._seed_ended(pid, status) or self._forkserver_ended(pid, status)

    def _seed_ended(self, pid: int, status: int) -> bool:
        for kind, seed in self.seeds.items():
            if seed.pid == pid:
                del self.seeds[kind]
                seed.channel.close()
                pause = self._backoffs[kind].ended(seed.lived, monotonic())
                self._events.emit(HelperDied(f"seed {kind}", pid, how_it_ended(status), pause))
                self._forget_orders(kind)
                return True
        return False

    def _forget_orders(self, kind: str) -> None:
        """Orders to a seed that died before it forked will never be answered."""
        for key, forkserver in list(self._ordered.items()):
            brood = self.broods.get(forkserver.pool)
            if brood is not None and self.settings.pools[brood.pool].kind == kind:
                del self._ordered[key]
                self._discard(brood, forkserver)

    def _forkserver_ended(self, pid: int, status: int) -> bool:
        for brood in self.broods.values():
            for forkserver in (brood.current, brood.coming):
                if forkserver is not None and forkserver.pid == pid:
                    pause = brood.backoff.ended(forkserver.lived, monotonic())
                    role = f"forkserver {brood.pool}"
                    self._events.emit(HelperDied(role, pid, how_it_ended(status), pause))
                    self._discard(brood, forkserver)
                    if brood.current is forkserver:
                        brood.current = None
                    return True
        return False

    def stop(self) -> None:
        """Let all seeds and forkservers end."""
        for talker in self.talkers():
            talker.channel.close()
