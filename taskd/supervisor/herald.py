"""Tells whoever started the daemon what it is made of, and when it is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from taskd.board import WorkerState
from taskd.clock import monotonic
from taskd.config.settings import PoolSettings, Settings
from taskd.config.weights import written
from taskd.events import Events
from taskd.supervisor.events import GenerationComplete, Said, Started
from taskd.supervisor.plan import PoolView, WorkerView


class Herald:
    """Says each thing once."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._events = events
        self._born_at = monotonic()
        self._announced = 0

    def greet(self) -> None:
        """Say what is going to be started."""
        for line in describe_pools(self._settings):
            self._events.emit(Said(line))

    def look(
        self, generation: int, pools: Mapping[str, PoolView], workers: Sequence[WorkerView]
    ) -> None:
        """Say it when a generation is complete: all workers ready, nobody left of the old."""
        if self._announced == generation:
            return
        wanted = sum(pool.processes for pool in pools.values())
        workers = [worker for worker in workers if not worker.is_canary]
        if len(workers) == wanted and all(_is_up(worker, generation) for worker in workers):
            if not self._announced:
                self._tell_started(wanted)
            if generation > 1:
                self._events.emit(GenerationComplete(generation))
            self._announced = generation

    def _tell_started(self, workers: int) -> None:
        self._events.emit(Started(workers, monotonic() - self._born_at))
        hint = next_steps(self._settings)
        if hint is not None:
            self._events.emit(Said(hint))


def _is_up(worker: WorkerView, generation: int) -> bool:
    return worker.generation == generation and worker.is_live and worker.state is WorkerState.READY


def describe_pools(settings: Settings) -> Iterator[str]:
    """A line a pool: its workers and its queues."""
    for name, pool in settings.pools.items():
        queues = f"queues {', '.join(written(pool.queues))}" if pool.queues else "all queues"
        yield f"pool {name}: {_workers(pool)}, {queues}"


def _workers(pool: PoolSettings) -> str:
    processes = _count(pool.processes, "process", "processes")
    if pool.greenlets is None:
        return f"{processes} of one job each"
    return f"{processes} of {_count(pool.greenlets, 'greenlet', 'greenlets')} each"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def next_steps(settings: Settings) -> str | None:
    """What to do next, for somebody who gave no configuration file; None for others."""
    if settings.origin.config is not None or settings.burst:
        return None
    if not settings.imports:
        return (
            "next: name the modules whose functions may run, as in `taskd --imports shop`; "
            "until then every job fails"
        )
    module = settings.imports[0]
    return f"next: try `taskd enqueue {module}.FUNCTION '[1, 2]'`, then `taskd jobs list`"
