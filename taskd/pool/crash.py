"""A worker that crashes, by SIGSEGV, SIGABRT and such, says where it stood."""

from __future__ import annotations

import faulthandler
import os
import signal
from contextlib import suppress
from pathlib import Path

from taskd.board.last_words import open_last_words, take_last_words
from taskd.pool.place import Place

CRASHES = signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL


def leave_last_words(place: Place) -> None:
    """From now on, if it crashes: the running stack, written from C. It costs a job nothing.

    Not if something that was imported catches one of these signals already, be it faulthandler: a
    handler on top of one that expects faults, as of WebAssembly, would make crashes of them.
    A child that a job forks is not the worker, and says nothing in its name.
    """
    take_last_words(place.board, place.slot)  # of one before, whose end nobody has seen
    if not _is_caught_already():
        fd = open_last_words(place.board, place.slot)
        faulthandler.enable(fd, all_threads=False)
        board = _file_of(place.board.fd)
        os.register_at_fork(after_in_child=lambda: _be_silent(fd, board))


def _be_silent(fd: int, board: tuple[int, int]) -> None:
    """Lead our descriptor to nowhere: if a job has told faulthandler another, that is its own."""
    with suppress(OSError):  # the job has closed it
        if _file_of(fd) == board:
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, fd, inheritable=False)
            os.close(nowhere)


def _file_of(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _is_caught_already() -> bool:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return any(caught >> number - 1 & 1 for number in CRASHES)
