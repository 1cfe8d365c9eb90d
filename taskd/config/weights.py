"""The weights by which queues share a pool's workers, in place of an order."""

import re
from collections.abc import Mapping

MAX_WEIGHT = 1000
_NUMBER = "[1-9][0-9]{0,3}"


def check_weight(value: object) -> int:
    """Give back a weight; raises ValueError with a sentence for what is none."""
    # A variable in a flow mapping can only stand in quotes, and must be able to give a number.
    number = int(value) if isinstance(value, str) and re.fullmatch(_NUMBER, value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_WEIGHT:
        raise ValueError(f"is no weight: write a whole number from 1 to {MAX_WEIGHT}")
    return number


def split_weights(names: list[str]) -> list[str] | dict[str, str]:
    """Read queues of a flag, such as `urgent=5`: names alone, or all of them with weights.

    Raises ValueError with a sentence if only some have one, or a name is given twice.
    """
    pairs = [name.rpartition("=") for name in names]
    weighted = [name for name, equals, _ in pairs if equals]
    if not weighted:
        return names
    if len(weighted) < len(names):
        bare = next(name for _, equals, name in pairs if not equals)
        raise ValueError(
            f"{bare!r} has no weight while others have one: write NAME=WEIGHT for each"
        )
    weights = {name: weight for name, _, weight in pairs}
    if len(weights) < len(names):
        twice = next(name for name in weighted if weighted.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice: keep one")
    return weights


def written(queues: Mapping[str, int] | tuple[str, ...]) -> tuple[str, ...]:
    """Write a pool's queues as a flag has them: `urgent=5` if they have weights."""
    if isinstance(queues, Mapping):
        return tuple(f"{name}={weight}" for name, weight in queues.items())
    return queues
