"""Who gives way when the whole daemon holds too much, or the machine is short of memory.

One worker at a time, of all pools the one that a replacement relieves most; and some seconds of
quiet after each, because what it gave back shows only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from taskd.config.units import roughly

SETTLE_SECONDS = 10.0
SHORT_OF_MEMORY = 0.1
"""The share of time in which nobody can go on for want of memory that makes workers give way."""

LEAST_GAIN = 10_000_000
LEAST_GAIN_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A worker that could be replaced, what it holds, and what a fresh one of its pool holds."""

    pid: int
    pool: str
    bytes: int
    fresh: int

    @property
    def gain(self) -> int:
        """What its replacement would give back."""
        return self.bytes - self.fresh

    @property
    def is_worth_it(self) -> bool:
        """Whether that is enough to start a process for."""
        return self.gain >= max(LEAST_GAIN, LEAST_GAIN_SHARE * self.bytes)


@dataclass(frozen=True, slots=True)
class Want:
    """Pools that are to give memory back, and why, as a clause."""

    pools: frozenset[str]
    why: str


def want_of(total: int, budgets: Mapping[str, int], pressure: float) -> Want | None:
    """What is wanted, when the daemon holds `total` bytes; `pressure` is a share of time."""
    if pressure >= SHORT_OF_MEMORY:
        return Want(
            frozenset(budgets),
            f"the machine is short of memory: {pressure:.0%} of the time nobody could go on",
        )
    over = {pool: budget for pool, budget in budgets.items() if total > budget}
    if not over:
        return None
    return Want(
        frozenset(over),
        f"the daemon holds {roughly(total)}, over its host budget of {roughly(min(over.values()))}",
    )


def who_gives_way(want: Want, candidates: Iterable[Candidate]) -> Candidate | None:
    """The worker whose replacement gives most back; None if none gives back enough."""
    able: Sequence[Candidate] = [
        one for one in candidates if one.pool in want.pools and one.is_worth_it
    ]
    return max(able, key=lambda one: one.gain, default=None)
