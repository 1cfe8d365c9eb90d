"""Standard error as stacks are written to it: by signal handlers, so nobody may wait long there.

Whoever reads it may have stopped, and a pipe that is full would stop every worker that is asked
where it stands. So dumps go through a descriptor that does not block, and drop what nobody takes.
(A socket cannot be opened a second time; only what faulthandler writes to one can block.)
"""

from __future__ import annotations

import os
import select
import socket
import stat

from taskd import logs
from taskd.clock import monotonic
from taskd.pool import originals

PATIENCE_SECONDS = 0.25
"""For so long a reader that lives may need to make room for the rest of a dump."""


def open_for_dumps() -> int:
    """A descriptor of standard error that does not block; without one, of nowhere."""
    fd = logs.open_stderr()
    return fd if fd >= 0 else os.open(os.devnull, os.O_WRONLY)


def write(fd: int, text: str) -> None:
    """Write a dump, as far as it is taken within PATIENCE_SECONDS; never raises, never switches."""
    data = text.encode(errors="backslashreplace")
    deadline = monotonic() + PATIENCE_SECONDS
    try:
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        while data and _has_room(fd, deadline - monotonic()):
            data = data[_write_some(fd, data, is_socket) :]
    except OSError:
        return  # nobody reads, or a job has closed it; a dump is not worth a job


def _has_room(fd: int, seconds: float) -> bool:
    poll = originals.poll()
    poll.register(fd, select.POLLOUT)
    return seconds > 0 and bool(poll.poll(seconds * 1000))


def _write_some(fd: int, data: bytes, is_socket: bool) -> int:
    try:
        if not is_socket:
            return os.write(fd, data)
        with originals.Socket(fileno=os.dup(fd)) as out:
            return out.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return 0  # room for less than what is written in one piece
