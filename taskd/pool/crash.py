"""A worker that crashes, by SIGSEGV, SIGABRT and such, says where it stood."""

from __future__ import annotations

import faulthandler
import os

from taskd.board.last_words import open_last_words
from taskd.pool.place import Place


def leave_last_words(place: Place) -> None:
    """From now on, if it crashes: the running stack, written from C. It costs a job nothing.

    Instead of what faulthandler was told before, such as to write to standard error: the master
    logs what it reads. A child that a job forks is not the worker, and says nothing in its name.
    """
    faulthandler.enable(open_last_words(place.board, place.slot), all_threads=False)
    os.register_at_fork(after_in_child=faulthandler.disable)
