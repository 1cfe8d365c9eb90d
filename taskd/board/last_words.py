"""Where a worker stood when it crashed: faulthandler writes it, and the master reads it afterwards.

    header │ lanes │ slots ║ last words of slot 0 │ of slot 1 │ …
    ───────────────────────╨──────────────────────────────────────
    memory of all           a file: nothing is there until one crashes

They lie behind the words of the board, in the same file, which outlives the worker. Each worker
opens it anew, so that faulthandler, which knows no offsets, writes at the place of its slot.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from taskd.board.layout import LAST_WORDS, Board

FIRST_FD = 500
"""Descriptors from here on: who closes all of them and opens others does not get this number."""


def open_last_words(board: Board, slot: int) -> int:
    """A descriptor for the crash of the worker in this slot; the process keeps it to its end."""
    fd = os.open(f"/proc/self/fd/{board.fd}", os.O_WRONLY | os.O_CLOEXEC)
    os.lseek(fd, board.last_words_at(slot), os.SEEK_SET)
    with suppress(OSError):  # so many are not allowed
        far = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FD)
        os.close(fd)
        return far
    return fd


def take_last_words(board: Board, slot: int) -> str:
    """What the last worker of this slot wrote as it crashed, which is forgotten; or nothing."""
    at = board.last_words_at(slot)
    text = os.pread(board.fd, LAST_WORDS, at).partition(b"\0")[0]
    if text:
        os.pwrite(board.fd, bytes(len(text)), at)
    return text.decode(errors="replace")
