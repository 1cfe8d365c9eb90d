"""What `taskd workers` shows of this host: one entry a process of its tree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from taskd.board import WorkerState, read_offers
from taskd.maintenance import procfs
from taskd.maintenance.tree import TreeProcess
from taskd.maintenance.worker_slots import WorkerSlots


def processes_json(processes: Sequence[TreeProcess], slots: WorkerSlots) -> str:
    """The living processes as a JSON list; memory_bytes is resident without shared memory."""
    entries = [_entry(process, slots) for process in processes]
    return json.dumps([entry for entry in entries if entry is not None])


def _entry(process: TreeProcess, slots: WorkerSlots) -> dict[str, Any] | None:
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
        "offers": _offers(process, slots),
        "state": state,
        "in_flight": in_flight,
        "memory_bytes": procfs.private_memory(process.pid),
        "started": started.isoformat(timespec="milliseconds"),
    }


def _offers(process: TreeProcess, slots: WorkerSlots) -> list[str]:
    """The versions of the code that jobs may require of a worker."""
    if process.role != "worker" or process.slot is None:
        return []
    return sorted(read_offers(slots[process.slot]))


def _work(process: TreeProcess, slots: WorkerSlots) -> tuple[str, int]:
    """The state of a process and the jobs it runs; those who take none are simply running.

    A worker is starting, idle, busy, draining or exiting.
    """
    if process.role != "worker" or process.slot is None:
        return "running", 0
    reading = slots[process.slot].read()
    if reading.pid != process.pid or reading.state is WorkerState.EMPTY:
        return "starting", 0
    if reading.state is WorkerState.READY:
        return "busy" if reading.in_flight else "idle", reading.in_flight
    return reading.state.name.lower(), reading.in_flight
