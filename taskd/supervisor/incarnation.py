"""One life of a master, told apart from all others by two lock files.

    <state_dir>/run/<uuid>.master   locked by the master alone
    <state_dir>/run/<uuid>.tree     locked by an open file that its whole tree inherits

Whose `.master` is free has no master any more; once its `.tree` is free too, nobody of its tree is
left who could still work on its jobs, and they may be given back. Host names, boot ids and pids
prove nothing of the kind: they are reused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal


class Incarnation:
    """Our own life: takes its locks at once and holds them until the process ends."""

    def __init__(self, state_dir: str) -> None:
        self.id = _random_uuid()
        self._folder = os.path.join(state_dir, "run")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self.tree_fd = _locked(self._path(self.id, "tree"))
        os.set_inheritable(self.tree_fd, True)
        # It gets its name when it is locked: whoever sees it free must not take us for dead.
        newborn = self._path(self.id, "newborn")
        self._master_fd = _locked(newborn)
        os.rename(newborn, self._path(self.id, "master"))

    def dead(self) -> list[str]:
        """The incarnations of this state directory whose master is gone, ours never among them."""
        files = (name.rpartition(".") for name in os.listdir(self._folder))
        names = {stem for stem, _, suffix in files if suffix == "master"} - {self.id}
        return sorted(name for name in names if _is_free(self._path(name, "master")))

    def end_survivors(self, dead: str) -> bool:
        """Kill what is left of a dead incarnation's tree; whether nothing is left any more.

        Never blocks: call it again until it is true.
        """
        tree = self._path(dead, "tree")
        if _is_free(tree):
            return True
        for pid in _holders(tree):
            _kill(pid)
        return _is_free(tree)

    def forget(self, dead: str) -> None:
        """Remove the files of an incarnation whose jobs are back."""
        for suffix in ("tree", "master"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(dead, suffix))

    def end(self) -> None:
        """Remove our own files: everything of ours has ended in good order."""
        self.forget(self.id)

    def _path(self, incarnation: str, suffix: str) -> str:
        return os.path.join(self._folder, f"{incarnation}.{suffix}")


def _random_uuid() -> str:
    """A uuid of version 4, without the memory that the module `uuid` takes."""
    number = int.from_bytes(os.urandom(16), "big")
    number = number & ~(0xF << 76) | 4 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _locked(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _is_free(path: str) -> bool:
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


def _holders(path: str) -> list[int]:
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
