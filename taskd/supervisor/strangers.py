"""Processes that a job left behind: adopted by the master, because it is the subreaper.

A stranger in our own session is ended: first asked, a second later killed. One that made itself a
session of its own wanted to outlive its parents, and is left alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Set

from taskd.clock import monotonic

LOOK_SECONDS = 1.0
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Let orphans of the tree become our children, not init's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class Strangers:
    """Looks once a second for children that nobody here has ordered."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._next_look = 0.0
        self._present = self._children()

    def look(self, known: Set[int]) -> None:
        """End strangers. `known`: our children that were announced.

        One that is being announced is known before the second look, and nobody acts before that.
        """
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        strangers = self._children() - known - self._present
        self._seen = {pid: self._seen.get(pid, 0) + 1 for pid in strangers}
        for pid, times in self._seen.items():
            if times > 1 and _is_in_our_session(pid):
                _send(pid, signal.SIGTERM if times == 2 else signal.SIGKILL)

    @staticmethod
    def _children() -> set[int]:
        me = os.getpid()
        try:
            with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as file:
                return set(map(int, file.read().split()))
        except FileNotFoundError:
            return set()  # a kernel that does not tell; then strangers are left alone


def _is_in_our_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == os.getsid(0)
    except ProcessLookupError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has just ended
