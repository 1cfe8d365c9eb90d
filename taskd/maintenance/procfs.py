"""What the kernel says of a process."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from taskd.clock import boottime, utc_now

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_STATE, _STARTED = 0, 19  # fields of /proc/PID/stat, counted after the name


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    fields = _stat(pid)
    return fields is not None and fields[_STATE] not in ("Z", "X")


def started_at(pid: int) -> datetime | None:
    """When a process started, to about a hundredth of a second; None if it is gone."""
    fields = _stat(pid)
    if fields is None:
        return None
    return utc_now() - timedelta(seconds=boottime() - int(fields[_STARTED]) / _TICKS)


def private_memory(pid: int) -> int:
    """The bytes that only this process holds: resident without shared; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            _, resident, shared, *_ = statm.read().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * _PAGE


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None
