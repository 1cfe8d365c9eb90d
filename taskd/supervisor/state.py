"""What the master knows, as lines for a person: the answer to SIGUSR2."""

from __future__ import annotations

from collections.abc import Iterator

from taskd.clock import monotonic
from taskd.supervisor.crew import Crew
from taskd.supervisor.nursery import Nursery
from taskd.supervisor.steward import Steward


def describe_state(crew: Crew, nursery: Nursery, steward: Steward) -> Iterator[str]:
    """One line a process."""
    if steward.process is not None:
        yield f"maintenance: pid {steward.process.pid}"
    for seed in nursery.seeds.values():
        yield f"seed {seed.kind}: pid {seed.pid}"
    for brood in nursery.broods.values():
        for forkserver in (brood.current, brood.coming):
            if forkserver is not None:
                ready = "ready" if forkserver.is_ready else "importing"
                yield (
                    f"forkserver {brood.pool}: pid {forkserver.pid}, "
                    f"generation {forkserver.generation}, {ready}"
                )
    for view in crew.worker_views():
        worker = crew.workers[view.slot]
        yield (
            f"worker {view.pool}/{view.slot}: pid {worker.pid}, generation {view.generation}, "
            f"{view.state.name.lower()}, {view.jobs_done} jobs done, "
            f"{monotonic() - view.started_at:.0f} s old"
        )
