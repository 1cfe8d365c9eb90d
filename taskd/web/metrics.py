"""Figures by the conventions of Prometheus: base units, counters that only grow, few labels.

Counters and histograms are the totals that the database keeps, so every server tells the same and
a restart sets nothing back. Histograms have every eighth bucket of the statistics: each bound is
four times the one before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import taskd
from taskd.store.histogram import Histogram
from taskd.store.statistics import Counts, Total, merge_parts
from taskd.web.source import Figures

BOUNDS = tuple(range(16, 120, 8))
"""From 1.6 ms to 7.5 h."""
_PLACE = ("queue", "task", "pool")


def write_metrics(figures: Figures, totals: list[Total]) -> bytes:
    """All metrics in the text format of Prometheus 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Collector(figures, totals))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, figures: Figures, totals: list[Total]) -> None:
        self._figures = figures
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("taskd", "The server of these metrics.", _version())
        yield from _ended(self._totals)
        yield from _durations(self._totals)
        yield from _queues(self._figures)
        yield from _pools(self._figures)


def _version() -> dict[str, str]:
    return {"version": taskd.__version__}


def _ended(totals: Iterable[Total]) -> Iterator[Metric]:
    jobs = CounterMetricFamily(
        "taskd_jobs", "Jobs that have ended, by outcome.", labels=(*_PLACE, "outcome")
    )
    started = CounterMetricFamily(
        "taskd_attempts_started", "Attempts that began, once they have ended.", labels=_PLACE
    )
    attempts = CounterMetricFamily(
        "taskd_attempts_ended",
        "Attempts that ended without ending their job: retried after an error or a timeout, lost "
        "with their worker, or returned uncharged.",
        labels=(*_PLACE, "outcome"),
    )
    for total in totals:
        place = (total.queue, total.task, total.pool)
        started.add_metric(place, total.counts.started)
        for outcome in ("succeeded", "failed", "cancelled"):
            jobs.add_metric((*place, outcome), getattr(total.counts, outcome))
        for outcome in ("retried", "lost", "returned"):
            attempts.add_metric((*place, outcome), getattr(total.counts, outcome))
    yield from (jobs, started, attempts)


def _durations(totals: Iterable[Total]) -> Iterator[Metric]:
    pools: dict[tuple[str, ...], list[Counts]] = defaultdict(list)
    tasks: dict[tuple[str, ...], list[Counts]] = defaultdict(list)
    for total in totals:
        pools[total.queue, total.task, total.pool].append(total.counts)
        tasks[total.queue, total.task].append(total.counts)
    yield _histogram(
        "taskd_job_run_seconds",
        "How long attempts ran that succeeded, failed or were retried.",
        _PLACE,
        pools,
        lambda counts: counts.runs,
    )
    yield _histogram(
        "taskd_job_wait_seconds",
        "How long attempts waited for a worker, from ready to begun.",
        _PLACE,
        pools,
        lambda counts: counts.waits,
    )
    yield _histogram(
        "taskd_job_resource_wait_seconds",
        "How long first attempts waited before that, for their resources and limits.",
        ("queue", "task"),
        tasks,
        lambda counts: counts.asks,
    )


def _histogram(
    name: str,
    about: str,
    labels: tuple[str, ...],
    places: dict[tuple[str, ...], list[Counts]],
    choose: Callable[[Counts], Histogram],
) -> Metric:
    """Each place has a value for each of the labels."""
    family = HistogramMetricFamily(name, about, labels=labels)
    for place, counts in places.items():
        histograms = [choose(each) for each in counts]
        merged = _sum(histograms)
        if not merged.count:
            continue
        buckets = [(f"{bound:.4g}", float(n)) for bound, n in merged.cumulative(BOUNDS)]
        family.add_metric(place, [*buckets, ("+Inf", float(merged.count))], merged.seconds)
    return family


def _sum(histograms: Iterable[Histogram]) -> Histogram:
    counts: dict[int, int] = defaultdict(int)
    seconds = 0.0
    for histogram in histograms:
        seconds += histogram.seconds
        for bucket, count in histogram.counts.items():
            counts[bucket] += count
    return Histogram(counts, seconds)


def _queues(figures: Figures) -> Iterator[Metric]:
    jobs = GaugeMetricFamily(
        "taskd_queue_jobs",
        "Jobs in a queue by state; above some thousands an estimate.",
        labels=("queue", "state"),
    )
    runnable = GaugeMetricFamily(
        "taskd_queue_runnable_jobs",
        "Queued jobs that could start now if a slot were free: what to scale workers by.",
        labels=("queue",),
    )
    age = GaugeMetricFamily(
        "taskd_queue_oldest_job_age_seconds",
        "How long the first queued job has waited; 0 if none does.",
        labels=("queue",),
    )
    paused = GaugeMetricFamily(
        "taskd_queue_paused", "1 if no worker claims from the queue.", labels=("queue",)
    )
    for queue in merge_parts(figures.backlog):
        for state in ("queued", "scheduled", "blocked", "running"):
            jobs.add_metric((queue.queue, state), getattr(queue, state))
        runnable.add_metric((queue.queue,), queue.runnable)
        age.add_metric((queue.queue,), queue.queued_seconds or 0.0)
        paused.add_metric((queue.queue,), int(queue.paused))
    yield from (jobs, runnable, age, paused)


def _pools(figures: Figures) -> Iterator[Metric]:
    workers = GaugeMetricFamily("taskd_pool_workers", "Living workers.", labels=("pool",))
    slots = GaugeMetricFamily(
        "taskd_pool_slots", "Jobs that the living workers can run at once.", labels=("pool",)
    )
    running = GaugeMetricFamily(
        "taskd_pool_claimed_jobs",
        "Jobs that the workers have in their hands: running, or next to run.",
        labels=("pool",),
    )
    for pool in figures.pools:
        workers.add_metric((pool.name,), pool.workers)
        slots.add_metric((pool.name,), pool.slots)
        running.add_metric((pool.name,), pool.running)
    yield from (workers, slots, running)
    yield GaugeMetricFamily("taskd_hosts", "Daemons that live.", value=figures.hosts)
