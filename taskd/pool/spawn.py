"""Forking a process that becomes a child of the master.

    forkserver ── fork ──► middle ── fork ──► child        middle announces the child's pid, exits
                                              child        is now the master's (a subreaper)

So the master reaps what it is responsible for, and the forkserver keeps no account of its children.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from taskd import malloc
from taskd.pool import originals
from taskd.pool.holes import fill_holes
from taskd.pool.signals import ORDERS

UNEXPECTED_EXIT = 70

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def fork_below_master(
    master: int, child: Callable[[], int], announce: Callable[[int], None]
) -> None:
    """Fork a child of the master that runs `child` and exits with its status.

    `announce` is called with the new pid, in the process between. Returns when that one has
    ended; the child may have ended too. The orders TERM, INT, HUP, USR1 and USR2 are blocked in
    the child until it calls `accept_orders`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
    middle = originals.fork()
    if middle == 0:
        _fork_again(master, child, announce)
    originals.waitpid(middle, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork_again(master: int, child: Callable[[], int], announce: Callable[[int], None]) -> NoReturn:
    middle = os.getpid()
    status = 0
    try:
        pid = originals.fork()
        if pid == 0:
            _live(master, middle, child)
        announce(pid)
    except BaseException:
        traceback.print_exc()
        status = UNEXPECTED_EXIT
    os._exit(status)


def _live(master: int, middle: int, child: Callable[[], int]) -> NoReturn:
    status = UNEXPECTED_EXIT
    try:
        while os.getppid() == middle:
            os.sched_yield()
        if os.getppid() != master:
            os._exit(0)
        status = child()
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # closed by somebody, or its reader is gone: nobody is left to tell


def die_with_master(master: int, by: signal.Signals) -> None:
    """Let the kernel send this process `by` when the master dies; exit if it is dead already.

    The kernel watches the parent of this moment, so the master must be the parent by now.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != master:
        os._exit(0)


def ignore_orders() -> None:
    """Live on whatever a whole process group is told: seeds and forkservers."""
    for number in ORDERS:
        signal.signal(number, signal.SIG_IGN)
    accept_orders()


def accept_orders() -> None:
    """Let signals through that were held back since the fork; handlers must be in place."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)


def forget_handlers() -> None:
    """Undo the signal handlers that an imported module may have installed."""
    signal.set_wakeup_fd(-1)
    for number in (*ORDERS, signal.SIGALRM, signal.SIGCHLD):
        originals.set_handler(number, signal.SIG_DFL)  # gevent's would make a hub for SIGCHLD


def reseed() -> None:
    """Give this process random numbers of its own; after a fork all children share their state."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed()


def read_from_null() -> None:
    """Make stdin empty: a job that reads it must not take a terminal's keys."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)


def freeze() -> None:
    """Keep what exists now out of the garbage collector, so that its pages stay shared."""
    gc.collect()
    _clear_lookups()
    malloc.trim()
    fill_holes()
    gc.freeze()


def _clear_lookups() -> None:
    """Drop what Python remembers of attributes it has looked up.

    Each entry holds its name; a child that replaces it would write to the page of that name.
    """
    if sys.version_info >= (3, 13):
        sys._clear_internal_caches()
    else:
        sys._clear_type_cache()


def thread_count() -> int:
    """How many threads this process has, those of C libraries included."""
    return len(os.listdir("/proc/self/task"))
