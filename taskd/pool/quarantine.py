"""When a greenlet worker runs suspects: jobs under which workers have died.

A suspect waits in a lane of its own. It is claimed by a worker that has nothing else in its hands,
which claims nothing more until it has ended: if that worker dies too, it is certain why.

An idle worker takes one at once. While all are busy one must make room:

    busy, and suspects wait ──► is it the one with the fewest jobs? ──► it claims no more, and ends
                                what it has ──► a suspect, alone ──► a rest as long as that took

Long jobs may keep it from ever being empty, so it stands back only for a while, claims for as long
again, and then stands back twice as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskd.pool.claims import Claims
from taskd.pool.lanes import Suspects
from taskd.pool.place import Place

if TYPE_CHECKING:
    from taskd.pool.slots import Slots

LOOK_SECONDS = 1.0
"""So often a busy worker looks whether suspects wait, once its host has ever known one."""

PATIENCE_SECONDS = 30.0


class Quarantine:
    """The suspects of one greenlet worker. Times are monotonic seconds."""

    def __init__(self, place: Place, claims: Claims, slots: Slots) -> None:
        self._place = place
        self._claims = claims
        self._slots = slots
        self._patience = PATIENCE_SECONDS
        self._began_at: float | None = None  # to run a suspect
        self._stood_back_at: float | None = None
        self._rests_until = self._looks_at = 0.0
        self._waiting: frozenset[str] = frozenset()

    @property
    def has_work(self) -> bool:
        """Whether a suspect may wait that this worker could take now."""
        return not self._slots.has_jobs and self._claims.may_find_suspects

    def turn(self, now: float) -> Suspects:
        """Whether suspects are to be claimed now, and when."""
        if self._slots.has_jobs:
            return Suspects.LEAVE
        return Suspects.LAST if now < self._rests_until else Suspects.FIRST

    def begin(self, now: float) -> None:
        """A suspect was claimed."""
        self._began_at, self._stood_back_at = now, None
        self._patience = PATIENCE_SECONDS

    def is_on(self, now: float) -> bool:
        """Whether a suspect is in the worker's hands, so that nothing else may be claimed."""
        if self._began_at is None:
            return False
        if self._slots.has_jobs:
            return True
        self._rests_until, self._began_at = 2 * now - self._began_at, None
        return False

    def stands_back(self, now: float) -> bool:
        """Whether it is to claim nothing, so that its hands become empty; asks the database."""
        if not self._is_chosen(now):
            self._stood_back_at = None
        elif self._stood_back_at is None:
            self._stood_back_at = now
        elif now - self._stood_back_at >= self._patience:
            self._rests_until, self._stood_back_at = now + self._patience, None
            self._patience *= 2
        return self._stood_back_at is not None

    def _is_chosen(self, now: float) -> bool:
        if now < self._rests_until or not self._slots.has_jobs or not self._claims.knows_suspects:
            return False
        if now >= self._looks_at:
            self._looks_at = now + LOOK_SECONDS
            self._waiting = self._claims.find_suspects()
        return bool(self._waiting) and self._place.has_fewest_jobs(self._waiting)
