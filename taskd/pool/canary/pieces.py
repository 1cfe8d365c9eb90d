"""All that is allocated now, added up by where that was done."""

from __future__ import annotations

from _tracemalloc import _get_traces
from collections import defaultdict
from collections.abc import Iterable
from typing import cast

FRAMES = 32
"""So many of the innermost frames of each allocation are kept, at most; what that costs grows with
the frames there are."""

Frames = tuple[tuple[str, int], ...]
"""File and line of each, the innermost first."""

_Trace = tuple[int, int, Frames, int]
"""Domain, size, where, and how many frames there were."""


def pieces() -> dict[Frames, int]:
    """The bytes of each place; blocks for 1 us for each piece of memory.

    `tracemalloc.take_snapshot` makes an object of each piece, which takes 20 times as long. Here
    nothing is made of one, no number either, for that would be traced as well.
    """
    sizes: defaultdict[Frames, list[int]] = defaultdict(list)
    for _, size, frames, _ in cast(Iterable[_Trace], _get_traces()):
        sizes[frames].append(size)
    return {frames: sum(some) for frames, some in sizes.items()}
