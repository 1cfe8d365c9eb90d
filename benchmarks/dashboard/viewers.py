"""What it costs a drain that ten people look at the overview."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

from benchmarks.cases import IMPORTS, QUEUES, fill, span
from benchmarks.daemon import fresh_database, running_daemon
from benchmarks.dashboard.stand import TIMEOUT, dashboard
from taskd.store.embedded import Server

JOBS = 200_000
VIEWERS = 10
RELOAD_SECONDS = 5.0
"""As the overview of the last 15 minutes asks for its curves."""

_OVERVIEW = ("/api/v1/stats/curves?last=15m", "/api/v1/stats?last=15m&by=all")


def pair(server: Server, *, is_first: bool) -> float:
    """The rate of a drain that ten watch ÷ that of one without a dashboard."""
    turns = (is_first, not is_first)
    rates = {is_watched: _drain(server, is_watched=is_watched) for is_watched in turns}
    return rates[True] / rates[False]


def _drain(server: Server, *, is_watched: bool) -> float:
    dsn = fresh_database(server, "bench_viewers")
    fill(dsn, JOBS)
    workers = ("--processes", "2", "--greenlets", "25", "--burst")
    with ExitStack() as stack:
        if is_watched:
            stack.enter_context(viewers(stack.enter_context(dashboard(dsn))))
        daemon = stack.enter_context(running_daemon(dsn, *workers, *QUEUES, *IMPORTS))
        daemon.wait(300)
    done, seconds = span(dsn)
    if done != JOBS:
        raise SystemExit(f"viewers: {done} of {JOBS} jobs succeeded")
    return JOBS / seconds


@contextmanager
def viewers(url: str) -> Iterator[None]:
    """Ten open overviews: what is pushed to them is read, and they ask as the page does."""
    is_over = threading.Event()
    with ThreadPoolExecutor(2 * VIEWERS) as threads:
        watching = [threads.submit(_listen, url, is_over) for _ in range(VIEWERS)]
        watching += [threads.submit(_reload, url, is_over) for _ in range(VIEWERS)]
        try:
            yield
        finally:
            is_over.set()
    if not all(viewer.result() for viewer in watching):  # raises what one of them has met
        raise SystemExit("viewers: some were shown nothing")


def _listen(url: str, is_over: threading.Event) -> int:
    """How many lines were pushed."""
    lines = 0
    with urlopen(f"{url}/api/v1/live", timeout=TIMEOUT) as stream:
        while not is_over.is_set() and stream.readline():
            lines += 1
    return lines


def _reload(url: str, is_over: threading.Event) -> int:
    """How many answers there were."""
    answers = 0
    while not is_over.is_set():
        for path in _OVERVIEW:
            with urlopen(url + path, timeout=TIMEOUT) as answer:
                answer.read()
            answers += 1
        is_over.wait(RELOAD_SECONDS)
    return answers


def table(ratios: Sequence[float]) -> str:
    """The median of the pairs, and how sure it is."""
    middle = statistics.median(ratios)
    return (
        f"drain, ten viewers ÷ no dashboard: {middle:.3f} ({len(ratios)} pairs from "
        f"{min(ratios):.3f} to {max(ratios):.3f}; should be ≥ 0.97)"
    )
