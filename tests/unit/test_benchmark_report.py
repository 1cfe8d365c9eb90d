"""The table of the benchmarks beside the peers: what it compares with what."""

from __future__ import annotations

import pytest

from benchmarks.contest import report
from benchmarks.contest.__main__ import systems
from benchmarks.contest.case import Case
from benchmarks.contest.cases import CASES
from benchmarks.contest.run import Plan, Sample
from benchmarks.contest.sizes import LONG, Sizes


def plan(case: Case, *names: str) -> Plan:
    chosen = report.systems_named(names, systems())
    return Plan(cases=[case], systems=chosen, runs=3, sizes=Sizes(), keeps_history=True)


def rates(case: str, system: str, *values: float) -> list[Sample]:
    return [Sample(case, system, run, {"rate": value}) for run, value in enumerate(values, 1)]


def test_medians_are_compared_with_the_best_durable_peer() -> None:
    drain = plan(CASES["drain"], "taskd", "pgqueuer", "huey", "huey-everysec")
    samples = [
        *rates("drain", "taskd", 90.0, 100.0, 200.0),
        *rates("drain", "pgqueuer", 10.0, 10.0, 10.0),
        *rates("drain", "huey", 20.0, 25.0, 30.0),
        *rates("drain", "huey-everysec", 80.0, 80.0, 80.0),
        *rates("drain", "pgbench, batch 500", 200.0, 200.0, 200.0),
    ]

    ours = report.rows(drain, samples)[0]

    assert (ours.median, ours.lowest, ours.highest) == (100.0, 90.0, 200.0)
    assert (ours.to_best, ours.to_best_postgres, ours.to_limit) == (4.0, 10.0, 0.5)
    assert ours.reach == "≥ 4 of the best peer: reached; ≥ 0.65 of the limit: not reached"


def test_peer_that_failed_says_why_and_stops_nobody() -> None:
    each = plan(CASES["each"], "taskd", "rq", "celery")
    samples = [
        *rates("each", "taskd", 3.0),
        Sample("each", "rq", 1, {}, "needs redis-server"),
        *rates("each", "celery", 1.0),
    ]

    table = report.table(report.rows(each, samples))

    lines = [line.split(maxsplit=1) for line in table.splitlines() if line.startswith("  ")]
    assert [line[0] for line in lines[1:]] == ["taskd", "celery", "rq"]
    assert lines[-1][1].endswith("needs redis-server")


def test_peers_run_none_of_the_cases_about_taskd_itself() -> None:
    held = plan(CASES["held"], "taskd", "pgqueuer")

    found = report.rows(held, [Sample("held", "taskd", 1, {"kept": 0.95})])

    assert [(row.system, row.reach) for row in found] == [("taskd", "≥ 0.9: reached")]


def test_unknown_peer_is_named() -> None:
    with pytest.raises(KeyError, match="oban"):
        report.systems_named(["taskd", "oban"], systems())


def test_scaled_sizes_stay_large_enough_to_say_something() -> None:
    tiny = LONG.scaled(1e-6)

    assert (tiny.drain, tiny.samples, tiny.held, tiny.row) == (1_000, 20, 6.0, 20_000)
    assert LONG.scaled(1.0) == LONG
