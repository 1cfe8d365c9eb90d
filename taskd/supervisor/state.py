"""What the master knows of its tree: as entries for maintenance, and as lines for a person."""

from __future__ import annotations

import os
from collections.abc import Iterator

from taskd.clock import monotonic
from taskd.supervisor.channel import Message
from taskd.supervisor.child import Seed
from taskd.supervisor.crew import Crew
from taskd.supervisor.dashboard import Dashboard
from taskd.supervisor.nursery import Nursery
from taskd.supervisor.steward import Steward


def list_processes(
    crew: Crew, nursery: Nursery, steward: Steward, dashboard: Dashboard
) -> list[Message]:
    """Every process whose pid is known, the master first."""
    processes = [_entry(os.getpid(), "master")]
    if steward.process is not None:
        processes.append(_entry(steward.process.pid, "maintenance"))
    if dashboard.process is not None:
        processes.append(_entry(dashboard.process.pid, "dashboard"))
    for talker in nursery.talkers():
        if isinstance(talker, Seed):
            processes.append(_entry(talker.pid, "seed"))
        else:
            processes.append(_entry(talker.pid, "forkserver", talker.pool, None, talker.generation))
    processes += [
        _entry(worker.pid, "worker", worker.pool, worker.slot, worker.parent.generation)
        for worker in crew.workers.values()
    ]
    return [entry for entry in processes if entry["pid"]]


def _entry(
    pid: int,
    role: str,
    pool: str | None = None,
    slot: int | None = None,
    generation: int | None = None,
) -> Message:
    return {"pid": pid, "role": role, "pool": pool, "slot": slot, "generation": generation}


def describe_state(
    crew: Crew, nursery: Nursery, steward: Steward, dashboard: Dashboard
) -> Iterator[str]:
    """One line a process: the answer to SIGUSR2."""
    if steward.process is not None:
        yield f"maintenance: pid {steward.process.pid}"
    if dashboard.process is not None:
        yield f"dashboard: pid {dashboard.process.pid}"
    for talker in nursery.talkers():
        if isinstance(talker, Seed):
            yield f"seed {talker.kind}: pid {talker.pid}"
        else:
            ready = "ready" if talker.is_ready else "importing"
            yield (
                f"forkserver {talker.pool}: pid {talker.pid}, "
                f"generation {talker.generation}, {ready}"
            )
    for view in crew.worker_views():
        worker = crew.workers[view.slot]
        yield (
            f"worker {view.pool}/{view.slot}: pid {worker.pid}, generation {view.generation}, "
            f"{view.state.name.lower()}, {view.jobs_done} jobs done, "
            f"{monotonic() - view.started_at:.0f} s old"
        )
