"""How much memory there is, how short it is, and whom the kernel has killed for want of it.

    control group, version 2   memory.max              memory.events     memory.pressure
    control group, version 1   memory.limit_in_bytes   memory.oom_control   (none)
    the machine                /proc/meminfo           /proc/vmstat      /proc/pressure/memory

A limit of any group above counts as well. Where a group does not tell, the machine does. Nothing
here raises: what a kernel does not tell is None.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

_KIB = 1024
_NO_LIMIT = 2**60
"""Version 1 writes a number as large as this for none."""


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of this process that accounts for memory: its folder, and those above."""

    version: int
    folders: tuple[str, ...]

    @property
    def name(self) -> str:
        """The group's folder."""
        return self.folders[0]

    def limit(self) -> int | None:
        """The smallest limit in bytes of it and the groups above; None if there is none."""
        file = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        found = (_number(_read(f"{folder}/{file}")) for folder in self.folders)
        return min(
            (limit for limit in found if limit is not None and limit < _NO_LIMIT), default=None
        )

    def kills(self) -> int | None:
        """How many of its processes the kernel has killed for want of memory."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return _field(_read(f"{self.name}/{file}"), "oom_kill")

    def pressure(self) -> str:
        """What it tells of waiting for memory; empty if nothing."""
        return _read(f"{self.name}/memory.pressure") if self.version == 2 else ""


class Machine:
    """The machine we run on, or one of the same make below another root, for tests."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        self.group = _find_group(root)

    def total(self) -> int:
        """The bytes that there are for us: of the control group, or of the machine."""
        installed = _field(_read(f"{self._root}/proc/meminfo"), "MemTotal:") or 0
        limit = None if self.group is None else self.group.limit()
        machine = installed * _KIB
        return machine if limit is None else min(limit, machine or limit)

    def kills(self) -> int | None:
        """How many processes the kernel has killed for want of memory, of our group or of all."""
        found = None if self.group is None else self.group.kills()
        return _field(_read(f"{self._root}/proc/vmstat"), "oom_kill") if found is None else found

    def pressure(self) -> float:
        """The share of the last 10 s in which nobody could go on for want of memory."""
        told = "" if self.group is None else self.group.pressure()
        told = told or _read(f"{self._root}/proc/pressure/memory")
        for line in told.splitlines():
            if line.startswith("full avg10="):
                return float(line[len("full avg10=") :].split()[0]) / 100
        return 0.0


def _find_group(root: str) -> Group | None:
    """The group that accounts for memory: of version 1 if its controller is bound there."""
    paths = {}
    for line in _read(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not path:
            continue
        if not controllers:
            paths[2] = path
        elif "memory" in controllers.split(","):
            paths[1] = path
    mounts = dict(_mounts(root))
    for version in (1, 2):
        if version in paths and version in mounts:
            return _group(root, version, paths[version], *mounts[version])
    return None


def _mounts(root: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """Where groups are mounted, by version: the group that the mount begins with, and the place."""
    for line in _read(f"{root}/proc/self/mountinfo").splitlines():
        about, _, source = line.partition(" - ")
        kind, _, options = [*source.split(" ", 2), "", ""][:3]
        begins, place = [*about.split(), *[""] * 5][3:5]
        if kind == "cgroup2":
            yield 2, (begins, place)
        elif kind == "cgroup" and "memory" in options.split(","):
            yield 1, (begins, place)


def _group(root: str, version: int, path: str, begins: str, place: str) -> Group | None:
    """A container sees its own group as the top of the mount, whatever path it is told."""
    top = root + place
    below = os.path.relpath(path, begins)
    folder = top if below.startswith("..") else os.path.normpath(f"{top}/{below}")
    if not os.path.isdir(folder):
        folder = top
    folders = [folder]
    while folders[-1] != top:
        folders.append(os.path.dirname(folders[-1]))
    return Group(version, tuple(folders))


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value.split(maxsplit=1)[0] if value.strip() else "")
    return None


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
