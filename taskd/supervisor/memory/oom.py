"""Whom the kernel kills for want of memory: workers before the master, and we can tell.

It was the kernel if a worker ends by SIGKILL, nobody here has sent it, and the kernel has counted
one more kill, of our control group or of the machine.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from taskd.supervisor.memory.machine import Machine

WORKERS_SCORE = 500
MOST_SCORE = 1000


class KernelKills:
    """The kernel's count of its kills, as far as no death has been put down to it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._accounted = self._seen = machine.kills() or 0

    def forget(self) -> None:
        """What was counted at the last call was none of ours: we would have seen the death."""
        self._accounted = max(self._accounted, self._seen)
        self._seen = self._machine.kills() or 0

    def take(self) -> bool:
        """Whether a death may be put down to the kernel; each of its kills counts for one."""
        kills = self._machine.kills() or 0
        if kills <= self._accounted:
            return False
        self._accounted += 1
        return True


def offer_to_kernel(pid: int) -> None:
    """Let the kernel rather take this worker, and what it starts, than the rest of the daemon."""
    with suppress(OSError):  # it has ended, or a container does not allow it
        with open("/proc/self/oom_score_adj", encoding="ascii") as file:
            own = int(file.read())
        with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(min(own + WORKERS_SCORE, MOST_SCORE)))


def is_sigkill(status: int) -> bool:
    """Whether a wait status tells of SIGKILL."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
