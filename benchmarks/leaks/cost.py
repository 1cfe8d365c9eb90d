"""What it costs that workers are always watched: a drain in which they are by turns.

Two drains one after the other differ by ten times what is measured, so the spells of one drain are
compared, each with its neighbour. Its processor's time is the sharper figure, and the stricter one:
of a drain's a worker takes a quarter, and PostgreSQL the rest.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.cases import QUEUES, fill, span
from benchmarks.daemon import fresh_database, running_daemon
from benchmarks.leaks.spells import SPELLS, Spell
from taskd.store.embedded import Server

JOBS = 500_000
LEAST_JOBS = 1000
"""A spell with fewer has come to the end of the queue."""

Pair = tuple[Spell, Spell]
"""A watched spell and an unwatched one of the same worker, side by side."""


def drain(server: Server, jobs: int = JOBS) -> list[Pair]:
    """Drain no-op jobs with two workers; their pairs of spells."""
    dsn = fresh_database(server, "bench_cost")
    fill(dsn, jobs)
    flags = ("--processes", "2", "--greenlets", "25", "--burst", *QUEUES)
    imports = ("--imports", "benchmarks.tasks,benchmarks.leaks.spells")
    with tempfile.TemporaryDirectory(prefix="taskd-bench-") as folder:
        spells = Path(folder) / "spells"
        os.environ[SPELLS] = str(spells)
        with running_daemon(dsn, *flags, *imports) as daemon:
            daemon.wait(300)
        lines = spells.read_text(encoding="utf-8").splitlines()
    done, _ = span(dsn)
    if done != jobs:
        raise SystemExit(f"cost: {done} of {jobs} jobs succeeded")
    return [pair for line in lines for pair in _pairs(Spell(*spell) for spell in json.loads(line))]


def _pairs(spells: Iterable[Spell]) -> Iterator[Pair]:
    known = {spell.number: spell for spell in spells if spell.jobs >= LEAST_JOBS}
    for number, spell in known.items():
        other = known.get(number + 1)
        if number % 2 == 0 and other is not None:
            yield (spell, other) if spell.is_watched else (other, spell)


def table(pairs: Sequence[Pair]) -> str:
    """The medians of the pairs, and how sure they are."""
    if len(pairs) < 2:
        raise SystemExit(f"cost: {len(pairs)} pairs of spells are too few; take more --runs")
    cpu = [(off.cpu / off.jobs) / (on.cpu / on.jobs) for on, off in pairs]
    rate = [(on.jobs / on.seconds) / (off.jobs / off.seconds) for on, off in pairs]
    micros = statistics.median(on.cpu / on.jobs for on, _ in pairs) * 1e6
    return (
        f"a worker's CPU a job ({micros:.1f} us), unwatched ÷ watched: {_told(cpu)}\n"
        f"its rate of jobs, watched ÷ unwatched: {_told(rate)}\n"
        f"{len(pairs)} pairs of spells; both should be ≥ 0.99"
    )


def _told(ratios: Sequence[float]) -> str:
    """The median and its standard error."""
    error = 1.25 * statistics.stdev(ratios) / len(ratios) ** 0.5
    return f"{statistics.median(ratios):.4f} ± {error:.4f}"
