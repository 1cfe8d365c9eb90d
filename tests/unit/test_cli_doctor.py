"""What `taskd doctor` makes of what it sees."""

from __future__ import annotations

import pytest

from taskd.cli.checks.finding import Level
from taskd.cli.doctor.storage import (
    judge_connections,
    judge_horizons,
    judge_partitions,
    judge_tables,
)
from taskd.store.health import Connections, Horizon, Partitioned, TableRow


def horizon(seconds: float | None, xids: int = 10, kind: str = "transaction") -> Horizon:
    return Horizon(
        kind=kind, pid=4711, name="psql", state="idle in transaction", xids=xids, seconds=seconds
    )


@pytest.mark.parametrize(
    ("used", "level"), [(50, Level.OK), (85, Level.WARNING), (97, Level.FAULT)]
)
def test_a_server_that_is_nearly_full_is_told_in_time(used: int, level: Level) -> None:
    assert judge_connections(Connections(room=100, used=used, ours=5, hidden=0)).level is level


@pytest.mark.parametrize(
    ("seconds", "xids", "level"),
    [(10, 10, Level.OK), (400, 10, Level.WARNING), (5000, 10, Level.FAULT),
     (None, 2_000_000, Level.WARNING)],
)  # fmt: skip
def test_a_long_transaction_is_named_with_its_pid(
    seconds: float | None, xids: int, level: Level
) -> None:
    finding = judge_horizons([horizon(seconds, xids)], hidden=0)

    assert finding.level is level
    assert "transaction of process 4711 (psql, idle in transaction" in finding.text
    if level is not Level.OK:
        assert finding.remedy.endswith("pg_terminate_backend(4711)")


@pytest.mark.parametrize("kind", ["prepared transaction", "replication slot", "standby"])
def test_what_is_no_session_has_a_remedy_of_its_own(kind: str) -> None:
    finding = judge_horizons([horizon(None, 2_000_000, kind)], hidden=0)

    assert finding.level is Level.WARNING
    assert "pg_terminate_backend" not in finding.remedy


def test_sessions_that_cannot_be_seen_are_told() -> None:
    finding = judge_horizons([], hidden=3)

    assert "3 sessions of other roles not seen: GRANT pg_read_all_stats" in finding.text


@pytest.mark.parametrize(
    ("ahead", "level"), [(7, Level.OK), (1, Level.WARNING), (0, Level.FAULT), (-1, Level.FAULT)]
)
def test_missing_days_are_told(ahead: int, level: Level) -> None:
    table = Partitioned(name="history", partitions=9, days_ahead=ahead, detached=0, bytes=0)

    (finding,) = judge_partitions([table])

    assert finding.level is level


def test_partitions_that_were_left_behind_are_told() -> None:
    table = Partitioned(name="history", partitions=9, days_ahead=7, detached=2, bytes=0)

    left, ahead = judge_partitions([table])

    assert left.text == "2 partitions of history taken off, not dropped"
    assert ahead.level is Level.OK


@pytest.mark.parametrize(
    ("live", "dead", "level"),
    [(10, 20_000, Level.OK), (5_000_000, 300_000, Level.OK), (10, 300_000, Level.WARNING)],
)
def test_more_dead_rows_than_living_are_told(live: int, dead: int, level: Level) -> None:
    table = TableRow(
        name="queued", live=live, dead=dead, bytes=0, vacuumed_at=None, is_vacuumed=True
    )

    (finding,) = judge_tables([table], [])

    assert finding.level is level


def test_tables_that_nothing_cleans_are_a_fault() -> None:
    tables = [
        TableRow(name=f"t{n}", live=0, dead=0, bytes=0, vacuumed_at=None, is_vacuumed=False)
        for n in range(9)
    ]

    (finding,) = judge_tables(tables, [])

    assert finding.level is Level.FAULT
    assert finding.text == "autovacuum is off for t0, t1, t2, t3, t4, …"
