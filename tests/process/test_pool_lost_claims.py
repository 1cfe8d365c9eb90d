"""Workers whose claims reach the database, but not the answers to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.config.settings import PoolSettings
from tests.pool_stand import Stand
from tests.process.wire import Wire

APP = """
def noop():
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
