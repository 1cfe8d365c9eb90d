"""Where what a task leaves behind was allocated: the line.

That is where most of what survives was. If nothing does (see there), three times what is allocated
is added up by where that was done. What grew from the first to the second and again to the third is
no job that happens to run. A place belongs to a task if a line of its function is among the frames,
and its line is the innermost of the users' own code.
"""

from __future__ import annotations

import inspect
import os
import sysconfig
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType

from taskd.errors import TaskdError
from taskd.pool.canary.pieces import Frames
from taskd.tasks.resolve import resolve

LEAST_PART = 0.2
"""A line that has steadily made less of what a task's places have grown by lately is not the one:
the task may have begun to run only after the first look."""

MOST_PLACES = 200
"""So many of the places that have grown most are looked at."""

_OWN_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "")
_OTHERS = (
    "<",
    _OWN_FOLDER,
    *(
        os.path.join(sysconfig.get_path(key), "")
        for key in ("stdlib", "platstdlib", "purelib", "platlib")
    ),
)


class Lines:
    """The places of one process; `imports` as in the settings."""

    def __init__(self, imports: tuple[str, ...]) -> None:
        self._imports = imports
        self._seen: deque[Mapping[Frames, int]] = deque(maxlen=3)

    def look(self, pieces: Mapping[Frames, int]) -> None:
        """Note what is allocated now, and where."""
        self._seen.append(pieces)

    def find(self, tasks: Iterable[str]) -> dict[str, str]:
        """The line of each task that has one; empty before the third look."""
        if len(self._seen) < 3:
            return {}
        spans = [(task, span) for task in tasks for span in self._spans(task)]
        grown: dict[tuple[str, str], int] = {}
        lately: dict[str, int] = {}
        for frames, steadily, late in self._grown()[:MOST_PLACES]:
            task = next((task for task, span in spans if _passes(frames, span)), None)
            place = _place(frames)
            if task is not None and place is not None:
                grown[task, place] = grown.get((task, place), 0) + steadily
                lately[task] = lately.get(task, 0) + late
        lines: dict[str, str] = {}
        for task, place in sorted(grown, key=lambda key: -grown[key]):
            if grown[task, place] >= LEAST_PART * lately[task]:
                lines.setdefault(task, place)
        return lines

    def _grown(self) -> list[tuple[Frames, int, int]]:
        """By how much each place has grown both times, and lately; that which has most first."""
        first, second, third = self._seen
        grown = []
        for frames, size in third.items():
            before = second.get(frames, 0)
            steadily = min(size - before, before - first.get(frames, 0))
            if size > before:
                grown.append((frames, max(steadily, 0), size - before))
        return sorted(grown, key=lambda one: -one[2])

    def _spans(self, task: str) -> Iterator[tuple[str, int, int]]:
        """The file of a task's function, its first and its last line."""
        try:
            function = inspect.unwrap(resolve(task, self._imports).function)
        except (TaskdError, ValueError):  # not there any more; wrapped in itself
            return
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield code.co_filename, code.co_firstlineno, _last_line(code)


def line_of(pieces: Iterable[tuple[Frames, int]]) -> str | None:
    """The line of the users' own code that has allocated most of them."""
    sizes: defaultdict[str, int] = defaultdict(int)
    for frames, size in pieces:
        place = _place(frames)
        if place is not None:
            sizes[place] += size
    return max(sizes, key=lambda place: sizes[place], default=None)


def _last_line(code: CodeType) -> int:
    """The last line of a function, with all functions inside of it."""
    inner = [_last_line(one) for one in code.co_consts if isinstance(one, CodeType)]
    return max([code.co_firstlineno, *inner, *(line for *_, line in code.co_lines() if line)])


def _passes(frames: Frames, span: tuple[str, int, int]) -> bool:
    file, first, last = span
    return any(name == file and first <= line <= last for name, line in frames)


def _place(frames: Frames) -> str | None:
    """The innermost line of the users' own code."""
    for name, line in frames:
        if not name.startswith(_OTHERS):
            return f"{name.removeprefix(_here())}:{line}"
    return None


def _here() -> str:
    try:
        return os.path.join(os.getcwd(), "")
    except FileNotFoundError:  # the folder of an old release is gone
        return ""
