"""The seeds: bare interpreters with taskd's runtime, one a kind of pool, that fork all the rest.

A seed lives as long as something is to be forked from it, and is started anew for what comes later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from signal import SIGKILL

from taskd.clock import monotonic
from taskd.events import Events
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Seed, how_it_ended
from taskd.supervisor.events import CannotStart, HelperDied, SeedHangs
from taskd.supervisor.inheritance import FirstSeed, Inheritance
from taskd.supervisor.restart import Backoff

PATIENCE_SECONDS = 60.0
"""A seed that is not ready by then hangs: on a disk that does not answer, say."""


class Seeds:
    """Keeps one seed of each kind that is needed; `broken` says why one could never work."""

    def __init__(self, inheritance: Inheritance, events: Events) -> None:
        self.broken: str | None = None
        self._inheritance = inheritance
        self._events = events
        self._seeds: dict[str, Seed] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._proven: set[str] = set()

    def __iter__(self) -> Iterator[Seed]:
        return iter(list(self._seeds.values()))

    def adopt(self, first: FirstSeed) -> None:
        """Keep account of the one that was spawned before there was anybody to do so."""
        self._backoffs[first.kind] = Backoff()
        self._seeds[first.kind] = Seed(pid=first.pid, kind=first.kind, channel=first.channel)

    def ready(self, kind: str) -> Seed | None:
        """The seed of a kind, if it takes orders."""
        seed = self._seeds.get(kind)
        return seed if seed is not None and seed.is_ready else None

    def tend(self, needed: Set[str]) -> None:
        """Start those that are missing, as far as back-off allows."""
        now = monotonic()
        for seed in self:
            if not seed.is_ready and not seed.is_given_up and seed.lived > PATIENCE_SECONDS:
                seed.is_given_up = True
                self._events.emit(SeedHangs(seed.kind, seed.pid, PATIENCE_SECONDS))
                seed.signal(SIGKILL)
        for kind in needed - self._seeds.keys():
            backoff = self._backoffs.setdefault(kind, Backoff())
            if backoff.may_start(now):
                self._start(kind, backoff)

    def pause(self, now: float) -> float:
        """Seconds until the next back-off is over; infinite if nothing has to wait."""
        return min((backoff.pause(now) for backoff in self._backoffs.values()), default=math.inf)

    def forget_pauses(self) -> None:
        """Start at once what had to wait."""
        for backoff in self._backoffs.values():
            backoff.forget()

    def take(self, needed: Set[str]) -> list[Seed]:
        """Take out those that are not needed any more."""
        taken = [self._seeds.pop(kind) for kind in self._seeds.keys() - needed]
        for seed in taken:
            if seed.is_ready:
                self._backoffs[seed.kind].forget()
        return taken

    @property
    def has_proven(self) -> bool:
        """Whether any has ever been ready."""
        return bool(self._proven)

    def is_ready(self, seed: Seed) -> None:
        """It has said that it takes orders."""
        seed.is_ready = True
        self._proven.add(seed.kind)

    def failed(self, seed: Seed, error: str) -> None:
        """It has said that it cannot work; if none of its kind ever could, none ever will."""
        self._events.emit(CannotStart(f"seed {seed.kind}", error))
        if seed.kind not in self._proven:
            self.broken = error

    def ended(self, seed: Seed, pid: int, status: int) -> bool:
        """Note the end of a seed; whether it was still needed."""
        if self._seeds.get(seed.kind) is not seed:
            return False
        del self._seeds[seed.kind]
        pause = self._backoffs[seed.kind].ended(seed.stable, monotonic())
        self._events.emit(HelperDied(f"seed {seed.kind}", pid, how_it_ended(status), pause))
        return True

    def _start(self, kind: str, backoff: Backoff) -> None:
        channel = Channel()
        try:
            pid = self._inheritance.spawn_seed(kind, channel)
        except OSError as error:
            channel.close()
            backoff.ended(0.0, monotonic())
            self._events.emit(CannotStart(f"seed {kind}", str(error)))
            return
        channel.handed_over()
        self._seeds[kind] = Seed(pid=pid, kind=kind, channel=channel)
