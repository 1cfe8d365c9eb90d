"""Which pools are to have a canary: one more worker, which traces what it allocates.

suspected, or asked for ─► wanted ─► started ─► it has seen enough and ends by itself ─► rest
                             ▲                          │
                             └── it was ended before: at most TRIES times
"""

from __future__ import annotations

from dataclasses import dataclass

from taskd.clock import monotonic

REST_SECONDS = 6 * 3600.0
"""After a canary a suspicion alone starts no other for so long: what leaks is known by then."""

TRIES = 3


@dataclass(slots=True)
class _Hunt:
    tries: int = TRIES


class Canaries:
    """The hunts of each pool."""

    def __init__(self) -> None:
        self._hunts: dict[str, _Hunt] = {}
        self._rests_until: dict[str, float] = {}

    def suspect(self, pool: str) -> None:
        """A worker of a pool is suspected to leak."""
        if monotonic() >= self._rests_until.get(pool, 0.0):
            self._hunts.setdefault(pool, _Hunt())

    def hunt(self, pool: str) -> None:
        """Somebody has asked for a canary."""
        self._hunts[pool] = _Hunt()

    def forget_rests(self) -> None:
        """The code is new: what was found of the old says nothing of it."""
        self._rests_until.clear()

    def wants(self, pool: str) -> bool:
        """Whether a pool is to have a canary now."""
        return pool in self._hunts

    def started(self, pool: str) -> None:
        """A canary of a pool is on its way."""
        hunt = self._hunts.get(pool)
        if hunt is not None:
            hunt.tries -= 1
            if not hunt.tries:
                self.ended(pool)

    def ended(self, pool: str) -> None:
        """A canary has seen enough; or none ever will."""
        self._hunts.pop(pool, None)
        self._rests_until[pool] = monotonic() + REST_SECONDS
