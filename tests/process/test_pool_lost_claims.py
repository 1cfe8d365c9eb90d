"""Workers whose claims are committed, but whose answers get lost, or cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.config.settings import PoolSettings
from tests.pool_stand import Stand
from tests.process.wire import Wire

APP = """
def noop(*args):
    pass
"""
POOLS = {"io": PoolSettings(greenlets=5), "cpu": PoolSettings()}


@pytest.fixture
def wire(dsn: str, tmp_path: Path) -> Iterator[Wire]:
    with Wire(dsn, tmp_path) as wire:
        yield wire


@pytest.fixture
def stand(wire: Wire, tmp_path: Path) -> Iterator[Stand]:
    """A host whose workers speak to the database through the wire."""
    with Stand(wire.dsn, tmp_path, POOLS) as stand:
        stand.write_app(APP)
        yield stand


@pytest.mark.parametrize("pool", POOLS)
def test_jobs_of_a_claim_whose_answer_got_lost_run_all_the_same(
    stand: Stand, wire: Wire, pool: str
) -> None:
    stand.start(pool)

    wire.lose_the_answer_to_a_claim()
    stand.enqueue_many("noop", [()] * 10)

    assert wire.lost.wait(10)
    stand.wait_for_count("succeeded", 10, seconds=10)
    assert stand.query("SELECT max(attempt), max(losses) FROM taskd.history") == [(1, 0)]
    assert stand.query("SELECT recoveries FROM taskd.worker") == [(1,)]


def test_jobs_that_were_handed_off_with_an_answer_that_got_lost_run_all_the_same(
    stand: Stand, wire: Wire
) -> None:
    stand.start("io")
    wire.lose_the_answer_to_a_hand_off()

    stand.enqueue_exclusive("noop", "x", 5)

    assert wire.lost.wait(10)
    stand.wait_for_count("succeeded", 5, seconds=10)
    assert stand.query("SELECT max(attempt), max(losses) FROM taskd.history") == [(1, 0)]
    assert stand.query("SELECT recoveries FROM taskd.worker") == [(1,)]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("column", ["args", "kwargs"])
def test_a_job_whose_arguments_are_no_json_fails_alone(
    stand: Stand, pool: str, column: str
) -> None:
    jobs = stand.enqueue_many("noop", [(n,) for n in range(11)])
    bad = jobs.pop(5)
    stand.query(f"UPDATE taskd.queued SET {column} = '{{oops' WHERE id = %s RETURNING 1", bad)

    stand.start(pool)

    assert "cannot be decoded" in stand.wait_for(bad, "failed")[1]
    stand.wait_for_count("succeeded", 10)
    assert stand.query("SELECT max(attempt) FROM taskd.history") == [(1,)]
    assert stand.read().failed == 1
    assert f"the arguments of job {bad} cannot be decoded" in stand.said()
