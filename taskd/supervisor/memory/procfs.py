"""What the kernel says of the memory of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

_PAGE = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024
_ROOM = 4096


class ProcFile:
    """A file of /proc that is read again and again through one descriptor.

    The descriptor stands for the process and not for its pid: when that is given to another, there
    is nothing to be read any more.
    """

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def read(self) -> bytes | None:
        """What it says now; None if the process is gone."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._fd, _ROOM, 0)
        except OSError:
            return None

    def close(self) -> None:
        """Let go of the process; closing twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Process:
    """The memory of a process and of those below it, cheap to read again and again."""

    __slots__ = ("_children", "_statm", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._statm = ProcFile(f"/proc/{pid}/statm")
        self._children = ProcFile(f"/proc/{pid}/task/{pid}/children")

    def private(self) -> int | None:
        """Resident bytes without what is shared; None if the process is gone.

        One that is on its way out, or was not waited for, has no memory left: it says zeros.
        """
        fields = (self._statm.read() or b"").split()
        if len(fields) < 3 or fields[1] == b"0":
            return None
        return (int(fields[1]) - int(fields[2])) * _PAGE

    def descendants(self) -> Iterator[int]:
        """All processes below it, as far as the kernel tells.

        It keeps account of children by the thread that has forked them.
        """
        children = _numbers(self._children.read()) if _has_one_thread(self.pid) else _all(self.pid)
        for child in children:
            yield child
            yield from _below(child)

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        self._statm.close()
        self._children.close()


def private_memory(pid: int) -> int:
    """Resident bytes without what is shared, of a process that is looked at once; 0: it is gone."""
    process = Process(pid)
    try:
        return process.private() or 0
    finally:
        process.close()


def proportional_memory(pid: int) -> int:
    """Bytes with each shared page divided among those who share it; 0 if the process is gone.

    The kernel walks all pages for it: 0.7 ms for 30 MB, 18 ms for 2 GB.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * _KIB
    except OSError:
        return 0
    return 0


def _below(pid: int) -> Iterator[int]:
    process = Process(pid)
    try:
        yield from process.descendants()
    finally:
        process.close()


def _has_one_thread(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink <= 3
    except OSError:
        return True  # it is gone; reading its children finds that out, too


def _all(pid: int) -> list[int]:
    """The children of all threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [child for thread in threads for child in _children_of(pid, thread)]


def _children_of(pid: int, thread: str) -> list[int]:
    children = ProcFile(f"/proc/{pid}/task/{thread}/children")
    try:
        return _numbers(children.read())
    finally:
        children.close()


def _numbers(text: bytes | None) -> list[int]:
    return [] if not text else [int(word) for word in text.split()]
