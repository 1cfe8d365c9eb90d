"""Starting a keeper, from any process: threaded, under gevent, or about to end."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from pathlib import Path

from taskd.store.embedded.folder import Folder
from taskd.store.embedded.logfile import open_log
from taskd.store.embedded.orders import LOCK_FD, OUTCOME_FD, Orders

_PROGRAM = Path(__file__).with_name("detached.py")
_PASSED_VARIABLES = ("LD_LIBRARY_PATH", "PATH")


class KeeperStart:
    """The start of a keeper under way. Close it when its outcome is known or not wanted."""

    def __init__(self, folder: Folder, lock: int, orders: Orders) -> None:
        """Start it; it owns the locked descriptor `lock` of keeper.lock from here on.

        Raises OSError.
        """
        outcome, theirs = os.pipe()
        try:
            self._pid = _spawn(folder, lock, theirs, orders)
        except BaseException:
            os.close(outcome)
            raise
        finally:
            os.close(theirs)
            os.close(lock)
        self._outcome = outcome

    def wait(self, seconds: float) -> bytes | None:
        """What it says of its start, empty if it died without a word; None if it still starts."""
        deadline = time.monotonic() + seconds
        said = b""
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self._outcome, select.POLLIN)
        while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            chunk = os.read(self._outcome, 1 << 16)
            if not chunk:
                return said
            said += chunk
        return None

    def close(self) -> None:
        """Forget it: reap the process that it left behind when it detached itself."""
        os.close(self._outcome)
        try:
            os.waitpid(self._pid, 0)  # ended within milliseconds of its birth
        except ChildProcessError:
            return  # this program reaps its children by itself


def _spawn(folder: Folder, lock: int, outcome: int, orders: Orders) -> int:
    """posix_spawn rather than subprocess: nothing of gevent's and no fork handler runs."""
    log = open_log(folder)
    # Duplicates above those that the child is to have, or one might overwrite the other there.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, OUTCOME_FD + 1) for fd in (lock, outcome, log)]
    try:
        return os.posix_spawn(
            _python(),
            [_python(), "-I", "-S", str(_PROGRAM), *orders.to_words()],
            {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, high[2], 2),
                (os.POSIX_SPAWN_DUP2, high[0], LOCK_FD),
                (os.POSIX_SPAWN_DUP2, high[1], OUTCOME_FD),
            ],
            setsigmask=[],
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        for fd in (*high, log):
            os.close(fd)


def _python() -> str:
    """The interpreter; inside a program that embeds one (uWSGI), that program is `executable`."""
    if os.path.basename(sys.executable or "").startswith(("python", "pypy")):
        return sys.executable
    return os.path.join(sys.exec_prefix, "bin", "python3")
