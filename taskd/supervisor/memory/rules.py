"""What the memory of a worker asks for: pure, as all of the plan.

    over its soft limit, or chosen to give way   it is replaced: its successor is ready first
    over its hard limit                          it is killed; its jobs go back at once

A job is charged with a kill if it ran alone, and at least half of what its worker had grown by came
while it ran. Of several nobody can tell, so each for whose time that holds counts a loss. If it
holds for none, a leak has grown over many jobs, and nobody is charged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from taskd.board import Why
from taskd.config.units import roughly
from taskd.supervisor.actions import Action, Dump, Kill
from taskd.supervisor.ladder import DUMP_SECONDS, STALE_SECONDS

CANARY_ROOM = 2
"""So many times the soft limit a canary may hold, or it would end before it knows who leaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a pool's workers in bytes; None: there is none, or it helps nobody."""

    soft: int | None = None
    hard: int | None = None

    def for_canary(self) -> Limits:
        """Those of one that holds, beside what leaks, what it knows of each piece of that."""
        return replace(self, soft=None if self.soft is None else CANARY_ROOM * self.soft)


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a worker holds, in bytes, with all processes below it.

    `suspects` are running jobs while which at least half of what it has grown by came; `is_alone`:
    that came while no job but the first of them ran. `gives_way` is why it was chosen to, empty if
    it was not.
    """

    bytes: int
    suspects: tuple[int, ...] = ()
    is_alone: bool = False
    gives_way: str = ""

    @property
    def culprit(self) -> int:
        """The job that is certainly to blame; 0 if none is."""
        return self.suspects[0] if self.is_alone and self.suspects else 0


def why_worn(held: Held | None, limits: Limits) -> str:
    """Why a worker is to be replaced, as the end of a sentence; empty if it is not."""
    if held is None:
        return ""
    if limits.soft is not None and held.bytes > limits.soft:
        return f"holds {roughly(held.bytes)}, over its soft limit of {roughly(limits.soft)}"
    return held.gives_way


def is_over_hard(held: Held | None, limits: Limits) -> bool:
    """Whether a worker is to be killed."""
    return held is not None and limits.hard is not None and held.bytes > limits.hard


def about_hard(
    slot: int, held: Held | None, limits: Limits, dumped: int, waited: float | None
) -> Iterator[Action]:
    """Kill a worker over its hard limit; one with a culprit first writes where that stood.

    `dumped` is the job that it was last asked to write for, `waited` seconds ago.
    """
    if held is None or limits.hard is None or held.bytes <= limits.hard:
        return
    culprit = held.culprit
    is_asked = dumped == culprit and waited is not None and waited <= STALE_SECONDS
    if culprit and not is_asked:
        yield Dump(slot, culprit)
    elif not culprit or (waited is not None and waited >= DUMP_SECONDS):
        who = f"job {culprit} took it to" if culprit else "it holds"
        yield Kill(
            slot,
            f"{who} {roughly(held.bytes)}, over its hard limit of {roughly(limits.hard)}",
            charge=bool(held.suspects) and not culprit,
            culprit=culprit,
            why=Why.MEMORY,
            suspects=held.suspects,
        )
