"""What it costs a drain that ten people look at the overview, and have for some seconds.

The rate of a drain differs by a fifth from one to the next, whoever looks on. So their CPU seconds
are counted as well: those of the dashboard, and of the connections of the server that serve it, of
all that the daemon, the server and the dashboard have used meanwhile. Among them is what adding to
the statistics takes, which the daemon does itself, later, if nobody looks. What the ten use
themselves slows the drain down, too, though they would sit elsewhere: it is told beside.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.request import urlopen

from benchmarks.cases import IMPORTS, QUEUES, fill, span
from benchmarks.daemon import fresh_database, running_daemon
from benchmarks.dashboard.processor import measured
from benchmarks.dashboard.stand import TIMEOUT, dashboard_process
from taskd.store.embedded import Server

JOBS = 200_000
VIEWERS = 10
RELOAD_SECONDS = 5.0
"""As the overview of the last 15 minutes asks for its curves."""

WARM_LINES = 9
"""Of each stream, before the drain begins: three moments, so that no start is measured."""

_OVERVIEW = ("/api/v1/stats/curves?last=15m", "/api/v1/stats?last=15m&by=all")


@dataclass(frozen=True, slots=True)
class Drain:
    """How fast a drain was, and of all its CPU seconds the share that went to who looked on.

    `ours`: what this process, in which the viewers are, has used beside these, as such a share.
    """

    rate: float
    share: float
    ours: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A drain that ten watch beside one without a dashboard."""

    watched: Drain
    alone: Drain

    @property
    def ratio(self) -> float:
        """Of their rates."""
        return self.watched.rate / self.alone.rate

    @property
    def viewers_own(self) -> float:
        """What the ten have used themselves, as a share of the CPU seconds of the drain."""
        return self.watched.ours - self.alone.ours


def pair(server: Server, *, is_first: bool, jobs: int = JOBS) -> Pair:
    """Drain twice, the first time with ten viewers if `is_first`."""
    turns = (is_first, not is_first)
    drains = {is_watched: _drain(server, jobs, is_watched=is_watched) for is_watched in turns}
    return Pair(drains[True], drains[False])


def _drain(server: Server, jobs: int, *, is_watched: bool) -> Drain:
    dsn = fresh_database(server, "bench_viewers")
    fill(dsn, jobs)
    workers = ("--processes", "2", "--greenlets", "25", "--burst")
    with ExitStack() as stack:
        url, pid = stack.enter_context(dashboard_process(dsn)) if is_watched else ("", None)
        if is_watched:
            stack.enter_context(viewers(url))
        before, ours = _of_children(), time.process_time()
        used = stack.enter_context(measured(dsn, server.data_dir, pid))
        with running_daemon(dsn, *workers, *QUEUES, *IMPORTS) as daemon:
            daemon.wait(300)
        daemon_used = _of_children() - before  # nothing else ends meanwhile
        ours = time.process_time() - ours
        done, seconds = span(dsn)
        stack.pop_all().close()  # now, for `used` is whole then
    if done != jobs:
        raise SystemExit(f"viewers: {done} of {jobs} jobs succeeded")
    whole = daemon_used + used.server + used.dashboard
    return Drain(jobs / seconds, (used.dashboard + used.connections) / whole, ours / whole)


def _of_children() -> float:
    """CPU seconds of all processes that ours has started and that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


@contextmanager
def viewers(url: str) -> Iterator[None]:
    """Ten open overviews: what is pushed to them is read, and they ask as the page does.

    Blocks until each has been shown WARM_LINES lines. They ask one after the other, as people
    who have come at different moments.
    """
    is_over = threading.Event()
    warm: list[Future[None]] = [Future() for _ in range(VIEWERS)]
    with ThreadPoolExecutor(2 * VIEWERS) as threads:
        watching = [threads.submit(_listen, url, is_over, one) for one in warm]
        watching += [
            threads.submit(_reload, url, is_over, number * RELOAD_SECONDS / VIEWERS)
            for number in range(VIEWERS)
        ]
        try:
            for one in warm:
                one.result(TIMEOUT)
            yield
        finally:
            is_over.set()
    if not all(viewer.result() for viewer in watching):  # raises what one of them has met
        raise SystemExit("viewers: some were shown nothing")


def _listen(url: str, is_over: threading.Event, warm: Future[None]) -> int:
    """How many lines were pushed."""
    lines = 0
    try:
        with urlopen(f"{url}/api/v1/live", timeout=TIMEOUT) as stream:
            while not is_over.is_set() and stream.readline():
                lines += 1
                if lines == WARM_LINES:
                    warm.set_result(None)
    except OSError as error:
        if not warm.done():
            warm.set_exception(error)
        raise
    return lines


def _reload(url: str, is_over: threading.Event, later: float) -> int:
    """How many answers there were; the first come `later` seconds from now."""
    answers = 0
    while not is_over.wait(RELOAD_SECONDS if answers else later):
        for path in _OVERVIEW:
            with urlopen(url + path, timeout=TIMEOUT) as answer:
                answer.read()
            answers += 1
    return answers


def table(pairs: Sequence[Pair]) -> str:
    """The medians of the pairs, and how sure they are."""
    ratios = [pair.ratio for pair in pairs]
    shares = [pair.watched.share for pair in pairs]
    number = len(pairs)
    error = statistics.stdev(ratios) / number**0.5 if number > 1 else 0.0
    own = statistics.median([pair.viewers_own for pair in pairs])
    return (
        f"drain, ten viewers ÷ no dashboard: {statistics.median(ratios):.3f} ({number} pairs from "
        f"{min(ratios):.3f} to {max(ratios):.3f}, mean {statistics.mean(ratios):.3f} "
        f"± {error:.3f}; should be ≥ 0.97)\n"
        f"CPU seconds of the viewers, who would sit elsewhere ÷ all of the drain: {own:.4f}\n"
        f"CPU seconds for ten viewers ÷ all of the drain: {statistics.median(shares):.4f} "
        f"({number} drains from {min(shares):.4f} to {max(shares):.4f}; should be ≤ 0.03)"
    )
