"""Process trees: who is in them, what they weigh, how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import pss

STOP_SECONDS = 30.0


def members(roots: Sequence[int]) -> list[int]:
    """These processes and all below them."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                children[int(stat[1])].append(int(entry.name))
    found, coming = [], list(roots)
    while coming:
        found.append(coming.pop())
        coming += children[found[-1]]
    return found


def weight(roots: Sequence[int]) -> float:
    """The proportional set size of all of them, MiB."""
    return sum(pss(pid) for pid in members(roots))


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End them as a service manager does: TERM to each, in the end KILL to its group."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
