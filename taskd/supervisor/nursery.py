"""Seeds and forkservers: everything that other processes are forked from.

A *brood* is what one pool's workers come from: the forkserver whose code has proved to import, and
perhaps a newer one that is still importing. The newer takes over when it says "ready"; when its
code fails to import, the older goes on as if nothing had been.

Whoever is not needed any more is let go: it gets no more orders, but is heard until its socket is
closed, because it may be announcing a child at this moment. So is a seed, once all that comes from
it is there and ready; `_needed` says when that is.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from taskd.clock import monotonic
from taskd.config.handover import settings_in_memory
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.supervisor.channel import Channel, Message
from taskd.supervisor.child import Forkserver, Seed, how_it_ended
from taskd.supervisor.events import HelperDied, ImportFailed, ImportsAfterFork
from taskd.supervisor.inheritance import Inheritance, kind_of_first
from taskd.supervisor.restart import Backoff
from taskd.supervisor.seeds import Seeds


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

    @property
    def forkservers(self) -> list[Forkserver]:
        """Those that there are."""
        return [one for one in (self.current, self.coming) if one is not None]


class Nursery:
    """Keeps the seeds and broods that the settings want."""

    def __init__(self, settings: Settings, inheritance: Inheritance, events: Events) -> None:
        self.settings = settings
        self.generation = 1
        self.broods = {pool: Brood(pool) for pool in settings.pools}
        self.seeds = Seeds(inheritance, events)
        self.on_tasks: Callable[[str, list[Message]], None] = lambda pool, tasks: None
        self.on_maintenance_forked: Callable[[int], None] = lambda pid: None
        self._events = events
        self._ordered: dict[str, Forkserver] = {}
        self._tasks: dict[int, list[Message]] = {}
        self._leaving: list[Seed | Forkserver] = []
        self._is_stopping = False
        self._was_complete = False  # every pool's code has imported
        self._lacks_maintenance = True
        self._outdated: str | None = None

    # -- what is wanted ---------------------------------------------------------------------------

    def reload(self, settings: Settings) -> None:
        """Make a new generation of every pool's forkserver from these settings."""
        self.settings = settings
        self.generation += 1
        for pool in set(self.broods) - set(settings.pools):
            self._drop(self.broods.pop(pool))
        for pool in settings.pools:
            brood = self.broods.setdefault(pool, Brood(pool))
            brood.late = False
            brood.backoff.forget()
            if brood.coming is not None:
                self._end(brood.coming)  # the code has changed while it was being imported
        self.seeds.forget_pauses()

    def tend(self, *, lacks_maintenance: bool) -> None:
        """Start what is missing, as far as back-off allows, and forget what will not come."""
        self._forget_lost()
        if self._is_stopping:
            return
        self._lacks_maintenance = lacks_maintenance
        needed = self._needed()
        self._let_go(*self.seeds.take(needed))
        self.seeds.tend(needed)
        now = monotonic()
        for brood in self.broods.values():
            if brood.coming is not None:
                self._watch(brood, brood.coming)
            elif self._is_wanting(brood) and brood.backoff.may_start(now):
                self._order_forkserver(brood)

    def pause(self, now: float) -> float:
        """Seconds until the next back-off is over; infinite if nothing has to wait."""
        pauses = [brood.backoff.pause(now) for brood in self.broods.values()]
        return min([self.seeds.pause(now), *pauses])

    def stop(self) -> None:
        """Let all seeds and forkservers end; stopping twice is harmless."""
        self._is_stopping = True
        for brood in self.broods.values():
            self._drop(brood)
        self._let_go(*self.seeds.take(set()))

    @property
    def is_empty(self) -> bool:
        """Whether nobody is here any more."""
        return not any(True for _ in self.talkers())

    @property
    def fatal(self) -> str | None:
        """Why the daemon cannot do its work, if something has been so from its start."""
        is_start = self.generation == 1 or not self.seeds.has_proven
        if self.seeds.broken is not None and is_start:
            return self.seeds.broken
        if self._outdated is not None and self._lacks_maintenance:
            return self._outdated  # nobody here will ever rescue, promote or keep the lease again
        for brood in self.broods.values():
            if brood.refused and not (brood.has_imported or self._was_complete):
                return f"the code of pool {brood.pool} does not import: mend it and start again"
        return None

    def _needed(self) -> set[str]:
        """The kinds of seeds that something is to be forked from, now or if it fails at once."""
        wanting = (name for name, brood in self.broods.items() if self._is_wanting(brood))
        kinds = {self.settings.pools[name].kind for name in wanting}
        return kinds | {kind_of_first(self.settings)} if self._lacks_maintenance else kinds

    def _is_wanting(self, brood: Brood) -> bool:
        """Whether it has no forkserver of the newest code, be one on its way or not."""
        if brood.current is None:
            return True
        return self.generation not in (brood.current.generation, brood.refused)

    def _forget_lost(self) -> None:
        self._leaving = [one for one in self._leaving if one.pid or not one.channel.is_closed]
        for key, forkserver in list(self._ordered.items()):
            if forkserver.was_lost:
                del self._ordered[key]
                self._discard(forkserver)

    def _watch(self, brood: Brood, coming: Forkserver) -> None:
        limit = self.settings.pools[brood.pool].startup_timeout
        if coming.pid and coming.lived > limit:
            self._refuse(brood, coming, f"the imports did not end within {limit:g} s")

    # -- seeds and forkservers --------------------------------------------------------------------

    def seed_for_maintenance(self) -> Seed | None:
        """The seed that maintenance is to be forked from, once it is ready."""
        return self.seeds.ready(kind_of_first(self.settings))

    def _order_forkserver(self, brood: Brood) -> None:
        kind = self.settings.pools[brood.pool].kind
        seed = self.seeds.ready(kind)
        if seed is None:
            return
        generation = self.generation
        channel = Channel()
        key = f"{brood.pool}:{generation}:{channel.child_fd}:{monotonic()}"
        coming = Forkserver(
            parent=seed,
            pool=brood.pool,
            generation=generation,
            kind=kind,
            channel=channel,
            is_late=brood.late,
        )
        with settings_in_memory(self.settings) as settings_fd:
            seed.channel.send(
                "fork",
                fds=(channel.child_fd, settings_fd),
                role="forkserver",
                key=key,
                pool=brood.pool,
                generation=generation,
                late=brood.late,
            )
        channel.handed_over()
        self._ordered[key] = coming
        brood.coming = coming

    def _drop(self, brood: Brood) -> None:
        self._let_go(*brood.forkservers)
        brood.current = brood.coming = None

    def _discard(self, forkserver: Forkserver) -> None:
        self._tasks.pop(id(forkserver), None)
        self._let_go(forkserver)
        brood = self.broods.get(forkserver.pool)
        if brood is not None and brood.current is forkserver:
            brood.current = None
        if brood is not None and brood.coming is forkserver:
            brood.coming = None

    def _end(self, forkserver: Forkserver) -> None:
        """Do not wait for its imports; it has forked nobody yet."""
        forkserver.signal(signal.SIGKILL)
        self._discard(forkserver)

    def _let_go(self, *talkers: Seed | Forkserver) -> None:
        for talker in talkers:
            talker.channel.finish()
            self._leaving.append(talker)

    # -- what they say ----------------------------------------------------------------------------

    def talkers(self) -> Iterator[Seed | Forkserver]:
        """Everybody here who may have something to say."""
        yield from self.seeds
        for brood in list(self.broods.values()):
            yield from brood.forkservers
        yield from list(self._leaving)

    def hear_seed(self, seed: Seed, message: Message) -> None:
        """A seed is ready, or has forked what was ordered."""
        match message["op"]:
            case "ready":
                self.seeds.is_ready(seed)
            case "failed":
                self.seeds.failed(seed, message["error"])
                self._outdated = message["error"] if message.get("outdated") else None
            case "forked" if message["key"] in self._ordered:
                self._ordered.pop(message["key"]).pid = message["pid"]
            case "forked" if message["key"] == "maintenance":
                self.on_maintenance_forked(message["pid"])

    def hear_forkserver(self, forkserver: Forkserver, message: Message) -> None:
        """A forkserver has imported its code, or could not; "forked" is the master's to hear."""
        brood = self.broods.get(forkserver.pool)
        if brood is None or brood.coming is not forkserver:
            return  # it was given up meanwhile
        match message["op"]:
            case "tasks":
                self._tasks.setdefault(id(forkserver), []).extend(message["tasks"])
            case "ready":
                self._take_over(brood, forkserver, message.get("tasks", []))
            case "unsuitable":
                self._events.emit(ImportsAfterFork(brood.pool, tuple(message["found"])))
                self.on_tasks(brood.pool, self._tasks.pop(id(forkserver), []) + message["tasks"])
                brood.late = True
                self._discard(forkserver)
            case "failed":
                self._refuse(brood, forkserver, message["error"])

    def _take_over(self, brood: Brood, forkserver: Forkserver, tasks: list[Message]) -> None:
        if brood.current is not None:
            self._let_go(brood.current)
        forkserver.is_ready = brood.has_imported = True
        brood.current, brood.coming = forkserver, None
        if all(one.has_imported for one in self.broods.values()):
            self._was_complete = True
        if not forkserver.is_late:  # a late one has imported nothing, so it knows no tasks
            self.on_tasks(brood.pool, self._tasks.pop(id(forkserver), []) + tasks)

    def _refuse(self, brood: Brood, forkserver: Forkserver, error: str) -> None:
        self._events.emit(ImportFailed(brood.pool, error, brood.current is not None))
        brood.refused = forkserver.generation
        brood.backoff.ended(0.0, monotonic())
        self._end(forkserver)

    # -- their ends -------------------------------------------------------------------------------

    def ended(self, pid: int, status: int) -> bool:
        """Note the end of one of ours; whether it was."""
        talker = next((one for one in self.talkers() if one.pid == pid), None)
        if talker is None:
            return False
        talker.pid = 0
        if isinstance(talker, Forkserver):
            self._forkserver_ended(talker, pid, status)
        elif self.seeds.ended(talker, pid, status):
            self._let_go(talker)
        return True

    def _forkserver_ended(self, forkserver: Forkserver, pid: int, status: int) -> None:
        brood = self.broods.get(forkserver.pool)
        if brood is not None and forkserver in brood.forkservers:
            pause = brood.backoff.ended(forkserver.stable, monotonic())
            role = f"forkserver {brood.pool}"
            self._events.emit(HelperDied(role, pid, how_it_ended(status), pause))
            self._discard(forkserver)
