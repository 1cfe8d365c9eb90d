"""What `taskd workers` shows of this host: one entry a process of its tree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from taskd.board import Slot, SlotMemory, WorkerState, read_memory, read_offers
from taskd.board.layout import CANARY, PID, WORKER
from taskd.clock import utc_now
from taskd.maintenance import procfs
from taskd.maintenance.tree import TreeProcess
from taskd.maintenance.worker_slots import WorkerSlots


def processes_json(processes: Sequence[TreeProcess], slots: WorkerSlots) -> str:
    """The living processes as a JSON list; memory is resident without what is shared.

    memory_bytes: of the process itself; children_bytes: of all below a worker; peak_bytes: the most
    that a worker and all below it have held together, None before the first look. live_bytes: what
    its allocators have handed out; suspect_bytes_per_job: by how much that grows, None unless a
    leak is suspected. canary: whether a worker is one, beside those that its pool is to have.
    clock: of the master alone, what time it is here.
    """
    entries = [_entry(process, slots) for process in processes]
    return json.dumps([entry for entry in entries if entry is not None])


def _entry(process: TreeProcess, slots: WorkerSlots) -> dict[str, Any] | None:
    started = procfs.started_at(process.pid)
    if started is None:
        return None
    state, in_flight = _work(process, slots)
    own = _own_slot(process, slots)
    held = SlotMemory(bytes=0) if own is None else read_memory(own)
    return {
        "pid": process.pid,
        "role": process.role,
        "pool": process.pool,
        "slot": process.slot,
        "worker": None if own is None else own.words[WORKER] or None,
        "generation": process.generation,
        "offers": _offers(process, slots),
        "canary": own is not None and own.words[CANARY] != 0,
        "state": state,
        "in_flight": in_flight,
        "memory_bytes": procfs.private_memory(process.pid),
        "children_bytes": held.children,
        "peak_bytes": held.peak or None,
        "live_bytes": held.live or None,
        "suspect_bytes_per_job": held.suspect or None,
        "started": started.isoformat(timespec="milliseconds"),
        **({"clock": utc_now().isoformat()} if process.role == "master" else {}),
    }


def _offers(process: TreeProcess, slots: WorkerSlots) -> list[str]:
    """The versions of the code that jobs may require of a worker."""
    if process.role != "worker" or process.slot is None:
        return []
    return sorted(read_offers(slots[process.slot]))


def _own_slot(process: TreeProcess, slots: WorkerSlots) -> Slot | None:
    """The slot of a worker that has come as far as the board; None of all others."""
    if process.slot is None or slots[process.slot].words[PID] != process.pid:
        return None
    return slots[process.slot]


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
