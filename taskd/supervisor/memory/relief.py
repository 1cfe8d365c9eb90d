"""Chooses who gives way, and remembers it until that worker is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskd.events import Events
from taskd.supervisor.memory.budget import SETTLE_SECONDS, Candidate, want_of, who_gives_way
from taskd.supervisor.memory.events import NobodyGivesWay
from taskd.supervisor.memory.machine import Machine
from taskd.supervisor.memory.procfs import private_memory, proportional_memory

EXACT_SECONDS = 30.0
EXACT_PROCESSES = 8
"""So often, and for so many of the largest processes, shared pages are told from others."""


class Relief:
    """One worker at a time gives way, and then it is quiet for a while."""

    def __init__(self, machine: Machine, events: Events) -> None:
        self._machine = machine
        self._events = events
        self._chosen: Candidate | None = None
        self._why = ""
        self._settled_at = 0.0
        self._is_told = False
        self._own_share, self._own_share_at = 1.0, 0.0

    def why(self, pid: int) -> str:
        """Why a worker is to give way, as a clause; empty if it is not."""
        is_chosen = self._chosen is not None and self._chosen.pid == pid
        return f"it has grown most, and {self._why}" if is_chosen else ""

    def look(
        self,
        held: Mapping[int, int],
        candidates: Sequence[Candidate],
        budgets: Mapping[str, int],
        now: float,
    ) -> None:
        """See whether the daemon holds too much: `held` is what each process holds, by its pid."""
        if self._is_under_way(held, now):
            return
        total = self._total(held, min(budgets.values(), default=None), now)
        want = want_of(total, budgets, self._machine.pressure())
        if want is None:
            self._is_told = False
            return
        self._chosen, self._why = who_gives_way(want, candidates), want.why
        if self._chosen is None and not self._is_told:
            self._is_told = True
            self._events.emit(NobodyGivesWay(want.why))

    def _is_under_way(self, held: Mapping[int, int], now: float) -> bool:
        """Whether the one that was chosen is still there, or has just gone."""
        if self._chosen is not None and self._chosen.pid not in held:
            self._chosen = None
            self._settled_at = now + SETTLE_SECONDS
        return self._chosen is not None or now < self._settled_at

    def _total(self, held: Mapping[int, int], lowest: int | None, now: float) -> int:
        """What the tree holds.

        Pages that workers share with what they were forked from count in each of them, until that
        makes a difference: then it is looked how much of the largest is their own.
        """
        total = sum(held.values())
        if lowest is not None and total > lowest and now >= self._own_share_at:
            self._own_share_at = now + EXACT_SECONDS
            largest = sorted(held, key=lambda pid: held[pid])[-EXACT_PROCESSES:]
            exact = sum(map(proportional_memory, largest))
            shown = sum(map(private_memory, largest))
            self._own_share = min(exact / shown, 1.0) if exact and shown else 1.0
        return int(total * self._own_share)
