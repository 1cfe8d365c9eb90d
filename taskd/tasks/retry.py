"""When a failed attempt is followed by another, and after which pause."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeGuard

from taskd.errors import MAX_PAUSE, OptionInvalid

MAX_RETRIES = 32_766
"""The store counts attempts in 16 bits, and the first one is no retry."""

# From here on even a microsecond, doubled so often, is longer than any pause.
_MAX_DOUBLINGS = 100

Errors = type[BaseException] | tuple[type[BaseException], ...]
Backoff = Literal["exponential", "linear"] | Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, when and after which errors a failed attempt is followed by another.

    The first retry comes after `delay` seconds; then the pause doubles ("exponential"), or grows
    by `delay` each time ("linear"), or is what a function says, which is given the number of the
    retry (1, 2, …) and returns seconds. No pause is longer than `max_delay` seconds. `jitter` is
    the share of a pause by which it is randomly shortened or lengthened, so that what failed
    together does not come back together. Only `on` these errors is an attempt retried, and `never`
    on those; a job over its timeout raises JobTimeout. Raises OptionInvalid.
    """

    max: int
    delay: float = 5.0
    backoff: Backoff = "exponential"
    max_delay: float = 3600.0
    jitter: float = 0.1
    on: Errors = BaseException
    never: Errors = ()

    def __post_init__(self) -> None:
        check_retries("Retry: max", self.max)
        check_seconds("Retry: delay", self.delay)
        check_seconds("Retry: max_delay", self.max_delay)
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise OptionInvalid("Retry: jitter", self.jitter, "is not a share between 0 and 1")
        if self.backoff not in ("exponential", "linear") and not callable(self.backoff):
            raise OptionInvalid(
                "Retry: backoff", self.backoff, 'is not "exponential", "linear" or a function'
            )
        _check_errors("Retry: on", self.on)
        _check_errors("Retry: never", self.never)

    def wants(self, error: BaseException) -> bool:
        """Whether an attempt that ended with this error is to be repeated at all."""
        return isinstance(error, self.on) and not isinstance(error, self.never)

    def delay_before(self, attempt: int, random: float) -> float:
        """Give the seconds to wait before this attempt; attempt 2 is the first retry.

        `random` is between 0 and 1 and places the pause within its jitter. Raises OptionInvalid
        if a `backoff` function returns what is no number of seconds, and whatever it raises.
        """
        pause = self._pause(attempt - 1)
        shortest = pause * (1 - self.jitter)
        longest = min(pause * (1 + self.jitter), self.max_delay)
        return min(shortest + (longest - shortest) * random, longest)  # rounding may overshoot

    def _pause(self, retry: int) -> float:
        """The pause before jitter, at most max_delay."""
        match self.backoff:
            case "exponential":
                pause = math.ldexp(self.delay, min(retry - 1, _MAX_DOUBLINGS))
            case "linear":
                pause = self.delay * retry
            case _:
                pause = self.backoff(retry)
                if not _is_number(pause) or not pause > self.max_delay:
                    pause = check_seconds(f"Retry: backoff({retry})", pause)
        return min(pause, self.max_delay)


def check_retries(option: str, value: object) -> int:
    """Give back a number of retries; raises OptionInvalid, naming the option, otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionInvalid(option, value, "is not a whole number of retries")
    if not 0 <= value <= MAX_RETRIES:
        raise OptionInvalid(option, value, f"is not between 0 and {MAX_RETRIES}")
    return value


def check_seconds(option: str, value: object) -> float:
    """Give back a pause in seconds; raises OptionInvalid, naming the option, otherwise."""
    if not _is_number(value):
        raise OptionInvalid(option, value, "is not a number of seconds")
    if not 0 <= value <= MAX_PAUSE:
        raise OptionInvalid(option, value, f"is not between 0 and {MAX_PAUSE:.0f} seconds")
    return float(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_errors(option: str, errors: object) -> None:
    for error in errors if isinstance(errors, tuple) else (errors,):
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            raise OptionInvalid(option, error, "is not an exception class, or a tuple of them")
