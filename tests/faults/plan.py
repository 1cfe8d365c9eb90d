"""Which fault strikes when: random, and the same again from the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault to come: `at` in seconds from the start, `seed` for whatever it chooses itself."""

    at: float
    fault: str
    seed: int


def make_plan(faults: Sequence[str], count: int, seconds: float, seed: int) -> list[Strike]:
    """`count` strikes within `seconds`, every fault as often as the others; earliest first.

    Two strikes in three come alone, at moments of their own; every third comes together with
    another, a tenth of a second apart at most.
    """
    chance = random.Random(seed)
    named = [faults[number % len(faults)] for number in range(count)]
    chance.shuffle(named)
    moments: list[float] = []
    for number in range(count):
        together = moments and number % 3 == 2
        moments.append(
            moments[-1] + chance.uniform(0, 0.1) if together else chance.uniform(0, seconds)
        )
    strikes = zip(moments, named, strict=True)
    return sorted(
        (Strike(at, fault, chance.randrange(2**32)) for at, fault in strikes),
        key=lambda strike: strike.at,
    )
