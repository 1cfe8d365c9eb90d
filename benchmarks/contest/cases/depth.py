"""taskd with much in its tables, against taskd with little: rates that should not care."""

from __future__ import annotations

from benchmarks.contest.bench import Bench
from benchmarks.contest.case import Case, Measure, Reach, Values
from benchmarks.contest.cases.filling import LANES, QUEUES, fill, schedule
from benchmarks.contest.failure import CaseFailed
from benchmarks.peers.peer import Load
from benchmarks.peers.taskd.peer import daemon

FIRST_SECONDS = 300.0


def deep(bench: Bench) -> Values:
    """The first jobs of a deep queue, against all of a shallow one."""
    shallow = _first_rate(bench, bench.sizes.shallow)
    fill(bench.database(), bench.sizes.deep)
    return {"kept": _rate(bench) / shallow}


def scheduled(bench: Bench) -> Values:
    """A drain while many more wait for tomorrow, against one without."""
    plain = _first_rate(bench, bench.sizes.shallow)
    schedule(bench.database(), bench.sizes.scheduled)
    return {"kept": _first_rate(bench, bench.sizes.shallow) / plain}


def lanes(bench: Bench) -> Values:
    """The same jobs spread over 100 queues x 10 priorities, against one lane."""
    plain = _first_rate(bench, bench.sizes.shallow)
    fill(bench.database(), bench.sizes.shallow, queues=QUEUES, lanes=LANES)
    queues = ",".join(f"bench{n}" for n in range(QUEUES))
    return {"kept": _rate(bench, queues) / plain}


def _first_rate(bench: Bench, jobs: int) -> float:
    fill(bench.database(), jobs)
    return _rate(bench)


def _rate(bench: Bench, queues: str = "bench") -> float:
    """Jobs a second of two workers, over the first `shallow` jobs."""
    jobs = bench.sizes.shallow
    bench.database().settle()
    with bench.running([daemon(bench.place, Load(2), queues)]) as workers:
        if not bench.tally.wait_for(jobs, FIRST_SECONDS):
            raise CaseFailed(f"{bench.tally.count()} of {jobs} jobs ended: {workers.last_words()}")
        rate = bench.tally.span().rate
    bench.tally.reset()
    return rate


def _measure(title: str) -> Measure:
    return Measure(
        key="kept", title=title, unit="ratio", more_is_better=True, reaches=(Reach(0.8),)
    )


CASES = (
    Case(name="deep", measures=(_measure("rate, deep ÷ shallow"),), run=deep, is_ours=True),
    Case(
        name="scheduled",
        measures=(_measure("rate, many scheduled ÷ none"),),
        run=scheduled,
        is_ours=True,
    ),
    Case(
        name="lanes",
        measures=(_measure("rate, 100 queues x 10 priorities ÷ 1"),),
        run=lanes,
        is_ours=True,
    ),
)
