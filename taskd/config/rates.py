"""Rates as people write them: `100/m` is a hundred jobs a minute. Read as jobs per second."""

import re

from taskd.config.units import NUMBER, SECONDS

MOST_AT_ONCE = 1_000_000
"""Jobs that a limit may let run: what is more is no limit."""

MOST_RATE = 1_000_000.0
"""Jobs per second: what is faster is no limit."""

LEAST_RATE = 0.001 / 86_400.0
"""Jobs per second: one in a thousand days."""

UNITS = ("s", "m", "h", "d")
RATE_PATTERN = rf"^({NUMBER}) ?/ ?({'|'.join(UNITS)})$"

_RATE = re.compile(RATE_PATTERN)
_NEAR = 1e-9


def parse_rate(text: object) -> float:
    """Jobs per second from text such as `10/s`, `100/m`, `1/h`, `0.5/d`.

    Raises ValueError with a sentence that follows the value: `is not a rate: write …`.
    """
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(
            "is not a rate: write how many jobs in a second, minute, hour or day, "
            "such as 10/s, 100/m, 1000/h or 0.5/d"
        )
    rate = float(found[1]) / SECONDS[found[2]]
    if rate <= 0:
        raise ValueError("is not more than 0: leave it out for no limit, or write such as 1/d")
    if rate < LEAST_RATE * (1 - _NEAR):
        raise ValueError("is too slow for a rate: at least 0.001/d, one job in a thousand days")
    if rate > MOST_RATE:
        raise ValueError(f"is too fast for a rate: at most {MOST_RATE:.0f}/s")
    return rate


def format_rate(rate: float) -> str:
    """Write jobs per second the shortest exact way: 10.0 is `10/s`, 5/3 is `100/m`."""
    for unit in UNITS:
        amount = rate * SECONDS[unit]
        if amount >= 0.5 and abs(amount - round(amount)) <= amount * _NEAR:
            return f"{round(amount)}/{unit}"
    unit = next((unit for unit in UNITS if rate * SECONDS[unit] >= 1), "d")
    return f"{rate * SECONDS[unit]:.12g}/{unit}"
