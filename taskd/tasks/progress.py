"""How far a job is, in its own words: checked before anybody hears of it."""

from __future__ import annotations

from numbers import Real

from taskd.errors import OptionInvalid
from taskd.tasks.failure import storable

MAX_MESSAGE = 200
"""Longer messages lose their middle, in characters."""


def check_progress(fraction: object, message: object) -> tuple[float, str]:
    """The two as they can be stored. Raises OptionInvalid, naming the value."""
    if isinstance(fraction, bool) or not isinstance(fraction, Real):
        raise OptionInvalid("progress", fraction, "is no number: say done / total")
    share = float(fraction)
    if not 0.0 <= share <= 1.0:  # false for NaN, too
        raise OptionInvalid("progress", fraction, "is not between 0 and 1: say done / total")
    if not isinstance(message, str):
        raise OptionInvalid("progress: message", message, "is no text")
    return share, storable(message, MAX_MESSAGE)
