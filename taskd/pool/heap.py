"""What has grown in this process between two moments: objects by type, and the fullest containers.

Objects are counted in slices of 20 ms of processor time, with pauses between, so that nothing is
held up for long; only the list of them all is made in one go, at 20 ns an object. Of a process with
so many that this would take too long, nothing is counted.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from time import thread_time
from typing import Any

SLICE_SECONDS = 0.02
PAUSE_SECONDS = 0.02
SLICE_OBJECTS = 5_000
SLICE_NAMES = 500
MOST_BLOCKS = 4_000_000
"""Of more objects the list alone could take 100 ms."""

LEAST_LENGTH = 100
MOST_CONTAINERS = 50_000
MOST_TYPES, MOST_GROWN = 30, 10

_CONTAINERS = (dict, list, set, deque)

Pause = Callable[[float], object]


@dataclass(slots=True)
class Moment:
    """What there was. lengths: of long containers, by their id, with their type in the last bits.

    Plain numbers, so that the next moment does not find what this one has left.
    """

    types: Counter[type] = field(default_factory=Counter)
    lengths: dict[int, int] = field(default_factory=dict)
    blocks: int = 0
    longest_stop: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownType:
    """A type of which there are more than there were."""

    type: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownContainer:
    """A dict, list, set or deque that is longer than it was; `name`: where it is, if found."""

    type: str
    name: str
    before: int
    after: int


def measure(seconds: float, pause: Pause) -> dict[str, Any]:
    """Look, wait so long, look again: what has grown, as JSON has it.

    blocks: of Python's allocator; longest_stop: seconds that the process was held up at most.
    """
    blocks = sys.getallocatedblocks()
    if blocks > MOST_BLOCKS:
        return {"note": f"holds {blocks} objects: to count them would stop it for too long"}
    first = take_moment(pause)
    pause(seconds)
    second = take_moment(pause)
    return {
        "note": "",
        "seconds": seconds,
        "blocks_before": first.blocks,
        "blocks_after": second.blocks,
        "longest_stop": max(first.longest_stop, second.longest_stop),
        "types": [asdict(one) for one in _grown_types(first, second)],
        "containers": [asdict(one) for one in _grown_containers(first, second, pause)],
    }


def take_moment(pause: Pause) -> Moment:
    """Count what there is now, with pauses."""
    moment = Moment(blocks=sys.getallocatedblocks())
    began = thread_time()
    objects = gc.get_objects()
    moment.longest_stop = thread_time() - began
    for part in _slices(len(objects), pause, moment):
        some = objects[part]
        moment.types.update(map(type, some))
        for one in some:
            _note_length(moment, one)
    # What was there when the worker was forked, its garbage collector does not list.
    for _, _, value in _named_values(pause, moment):
        _note_length(moment, value)
    return moment


def _note_length(moment: Moment, value: Any) -> None:
    if type(value) in _CONTAINERS:  # a subclass has its own len, a proxy its own class
        length = len(value)
        if length >= LEAST_LENGTH and len(moment.lengths) < MOST_CONTAINERS:
            moment.lengths[id(value)] = length << 2 | _CONTAINERS.index(type(value))


def _slices(count: int, pause: Pause, moment: Moment) -> Iterator[slice]:
    """Parts of a list, with a pause whenever the work on them has taken a while."""
    began = thread_time()
    for start in range(0, count, SLICE_OBJECTS):
        yield slice(start, start + SLICE_OBJECTS)
        took = thread_time() - began
        if took >= SLICE_SECONDS:
            moment.longest_stop = max(moment.longest_stop, took)
            pause(PAUSE_SECONDS)
            began = thread_time()


def _grown_types(first: Moment, second: Moment) -> list[GrownType]:
    grown = [
        GrownType(type=_name(kind), before=first.types[kind], after=count)
        for kind, count in second.types.items()
        if count > first.types[kind]
    ]
    return sorted(grown, key=lambda one: one.before - one.after)[:MOST_TYPES]


def _grown_containers(first: Moment, second: Moment, pause: Pause) -> list[GrownContainer]:
    """Those that are still there and longer; what has come since is not among them."""
    grown = {
        ident: (_CONTAINERS[after & 3], before >> 2, after >> 2)
        for ident, after in second.lengths.items()
        if (before := first.lengths.get(ident, after)) < after and before & 3 == after & 3
    }
    most = dict(sorted(grown.items(), key=lambda one: one[1][1] - one[1][2])[:MOST_GROWN])
    names = _find_names(set(most), pause, second) if most else {}
    return [
        GrownContainer(type=_name(kind), name=names.get(ident, ""), before=before, after=after)
        for ident, (kind, before, after) in most.items()
    ]


def _find_names(wanted: set[int], pause: Pause, moment: Moment) -> dict[int, str]:
    """The names of objects that are globals of modules, or attributes of such globals."""
    found: dict[int, str] = {}
    for owner, name, value in _named_values(pause, moment):
        if id(value) in wanted:
            found.setdefault(id(value), f"{owner()}.{name}")
    return found


def _named_values(pause: Pause, moment: Moment) -> Iterator[tuple[Callable[[], str], str, object]]:
    """Globals of modules and attributes of those, with whose they are; with pauses."""
    began, count = thread_time(), 0
    for owner, name, value in _names():
        yield owner, name, value
        count += 1
        if count % SLICE_NAMES:
            continue
        took = thread_time() - began
        if took >= SLICE_SECONDS:
            moment.longest_stop = max(moment.longest_stop, took)
            pause(PAUSE_SECONDS)
            began = thread_time()


def _names() -> Iterator[tuple[Callable[[], str], str, object]]:
    for module, holder in list(sys.modules.items()):
        for name, value in _attributes(holder):
            yield (lambda: module), name, value  # noqa: B023 - called before the next
            if type(value) is not type(sys):
                for attribute, inner in _attributes(value):
                    yield (lambda: f"{module}.{name}"), attribute, inner  # noqa: B023


def _attributes(holder: object) -> list[tuple[str, object]]:
    """What is in the dictionary of an object, without asking the object itself."""
    try:
        return list(object.__getattribute__(holder, "__dict__").items())
    except (AttributeError, RuntimeError):
        return []  # it has none, or changes at this moment


def _name(kind: type) -> str:
    module = getattr(kind, "__module__", "")
    name = getattr(kind, "__qualname__", str(kind))
    return str(name) if module in ("builtins", "") else f"{module}.{name}"
