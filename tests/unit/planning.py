"""Short ways to put a situation before the plan."""

from __future__ import annotations

from dataclasses import replace

from taskd.board import WorkerState
from taskd.config.sections import PoolSettings
from taskd.supervisor.actions import Action
from taskd.supervisor.plan import PoolView, Urgency, WorkerView, decide

NOW = 1000.0
SETTINGS = PoolSettings(processes=2, greenlets=5, shutdown_timeout=30, kill_grace=5)


def pool(processes: int = 2, generation: int | None = 1, **settings: object) -> dict[str, PoolView]:
    chosen = replace(SETTINGS, processes=processes, **settings)  # type: ignore[arg-type]
    return {"io": PoolView(settings=chosen, processes=processes, generation=generation)}


def worker(slot: int, **fields: object) -> WorkerView:
    usual: dict[str, object] = {
        "slot": slot,
        "pool": "io",
        "generation": 1,
        "state": WorkerState.READY,
        "started_at": NOW - 100 + slot,
    }
    return WorkerView(**{**usual, **fields})  # type: ignore[arg-type]


def plan(
    pools: dict[str, PoolView], *workers: WorkerView, urgency: Urgency = Urgency.NONE
) -> list[Action]:
    return decide(pools, workers, urgency, NOW)
