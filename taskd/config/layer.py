"""One source of settings - the file, a flag, a variable - in the shape that all sources share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from taskd.errors import Fault

Path = tuple[str | int, ...]
"""The way to a setting: keys, and indices of lists from 0."""


class Position(NamedTuple):
    """A place in a file, both counted from 1."""

    line: int
    column: int


class LeftOut(Enum):
    """The type of `LEFT_OUT`."""

    LEFT_OUT = auto()


LEFT_OUT = LeftOut.LEFT_OUT
"""Stands in a list for an item whose fault has been told already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Settings of one source, not checked yet."""

    source: str
    """What a fault begins with: `taskd.yaml`, `--greenlets`, `TASKD_GREENLETS`."""
    values: dict[str, object]
    directory: str
    """Where relative paths start from."""
    positions: Mapping[Path, Position] = field(default_factory=dict)
    """Where each setting stands; empty for a source that is no file."""

    def fault(self, path: Path, message: str) -> Fault:
        """Blame the setting at the path, at the nearest position that is known."""
        if not self.positions:
            return Fault(self.source, None, "", message)
        upwards = (path[:end] for end in range(len(path), 0, -1))
        known = next((self.positions[step] for step in upwards if step in self.positions), None)
        line, column = known or (None, None)
        return Fault(self.source, line, dotted(path), message, column)

    def value_at(self, path: Path) -> object:
        """Return what the source says at the path; raises KeyError if it says nothing."""
        value: object = self.values
        for step in path:
            match value, step:
                case dict(), str():
                    value = value[step]
                case list(), int():
                    value = value[step]
                case _:
                    raise KeyError(path)
        return value


def dotted(path: Path) -> str:
    """Write a path as people do: `pools.io.queues[1]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{_readable(step)}" if text else _readable(step)
    return text


def _readable(key: str) -> str:
    key = key if len(key) <= 60 else f"{key[:60]}…"
    return key if key.isprintable() and key.strip() == key != "" else repr(key)
