"""What `taskd workers` shows of this host: one entry a process of its tree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from taskd.board import WorkerState
from taskd.maintenance import procfs
from taskd.maintenance.slots import Slots
from taskd.maintenance.tree import TreeProcess


def processes_json(processes: Sequence[TreeProcess], slots: Slots) -> str:
    """The living processes as a JSON list; memory_bytes is resident without shared memory."""
    entries = [_entry(process, slots) for process in processes]
    return json.dumps([entry for entry in entries if entry is not None])


def _entry(process: TreeProcess, slots: Slots) -> dict[str, Any] | None:
    started = procfs.started_at(process.pid)
    if started is None:
        return None
    state, in_flight = _work(process, slots)
    return {
        "pid": process.pid,
        "role": process.role,
        "pool": process.pool,
        "slot": process.slot,
        "generation": process.generation,
        "state": state,
        "in_flight": in_flight,
        "memory_bytes": procfs.private_memory(process.pid),
        "started": started.isoformat(timespec="milliseconds"),
    }


def _work(process: TreeProcess, slots: Slots) -> tuple[str, int]:
    """State and jobs in the hands of a process; those who take no jobs simply run."""
    if process.role != "worker" or process.slot is None:
        return "running", 0
    reading = slots[process.slot].read()
    if reading.pid != process.pid or reading.state is WorkerState.EMPTY:
        return WorkerState.STARTING.name.lower(), 0
    return reading.state.name.lower(), reading.in_flight
