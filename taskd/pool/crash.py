"""A worker that crashes, by SIGSEGV, SIGABRT and such, says where it stood."""

from __future__ import annotations

import faulthandler
import os
import signal
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
        faulthandler.enable(open_last_words(place.board, place.slot), all_threads=False)
        os.register_at_fork(after_in_child=faulthandler.disable)


def _is_caught_already() -> bool:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return any(caught >> number - 1 & 1 for number in CRASHES)
