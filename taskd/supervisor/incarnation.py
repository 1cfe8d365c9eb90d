"""One life of a master, told apart from all others by two lock files.

    <state_dir>/run/<uuid>.master   locked by the master alone
    <state_dir>/run/<uuid>.tree     locked by an open file that all its children inherit

Whose `.master` is free has no master any more; once its `.tree` is free too, nobody of its tree is
left who could still work on its jobs, and they may be given back. Host names, boot ids and pids
prove nothing of the kind: they are reused.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from uuid import uuid4


class Incarnation:
    """Our own life: takes its locks at once and holds them until the process ends."""

    def __init__(self, state_dir: str) -> None:
        self.id = str(uuid4())
        self._folder = Path(state_dir) / "run"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._master_fd = _locked(self._folder / f"{self.id}.master")
        self.tree_fd = _locked(self._folder / f"{self.id}.tree")
        os.set_inheritable(self.tree_fd, True)

    def dead(self) -> list[str]:
        """The incarnations of this state directory whose master is gone, ours never among them."""
        names = {path.stem for path in self._folder.glob("*.master")} - {self.id}
        return sorted(name for name in names if _is_free(self._folder / f"{name}.master"))

    def end_survivors(self, dead: str) -> bool:
        """Kill what is left of a dead incarnation's tree; whether nothing is left any more.

        Never blocks: call it again until it is true.
        """
        tree = self._folder / f"{dead}.tree"
        if _is_free(tree):
            return True
        for pid in _holders(tree):
            _kill(pid)
        return _is_free(tree)

    def forget(self, dead: str) -> None:
        """Remove the files of an incarnation whose jobs are back."""
        for suffix in ("tree", "master"):
            (self._folder / f"{dead}.{suffix}").unlink(missing_ok=True)

    def end(self) -> None:
        """Remove our own files: everything of ours has ended in good order."""
        self.forget(self.id)


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _is_free(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def _holders(path: Path) -> list[int]:
    """The processes that have the file open; those of other users are not ours to see."""
    wanted = os.stat(path)
    found = []
    for process in os.listdir("/proc"):
        if process.isdigit() and int(process) != os.getpid() and _has_open(process, wanted):
            found.append(int(process))
    return found


def _has_open(process: str, wanted: os.stat_result) -> bool:
    try:
        descriptors = os.listdir(f"/proc/{process}/fd")
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            opened = os.stat(f"/proc/{process}/fd/{descriptor}")
        except OSError:
            continue
        if (opened.st_dev, opened.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself meanwhile
