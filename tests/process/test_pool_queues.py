"""Real workers on queues with weights and priorities that age."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from taskd.config.settings import PoolSettings
from tests.pool_stand import Stand

APP = """
import time


def nap(seconds):
    time.sleep(seconds)
"""
WEIGHTS = {"u": 5, "s": 2, "m": 1}


def queues_as_claimed(stand: Stand) -> str:
    claimed = stand.query("SELECT queue FROM taskd.history ORDER BY fence")
    return "".join(queue for (queue,) in claimed)


@pytest.mark.parametrize("greenlets", [None, 8])
def test_jobs_are_claimed_in_proportion_to_the_weights(
    dsn: str, tmp_path: Path, greenlets: int | None
) -> None:
    pools = {"p": PoolSettings(queues=WEIGHTS, greenlets=greenlets)}
    with Stand(dsn, tmp_path, pools) as stand:
        stand.write_app(APP)
        for queue in WEIGHTS:
            stand.enter_lanes(queue)
            stand.enqueue_many("nap", [(0.01,)] * 64, queue=queue)
        stand.order_worker(stand.forkserver("p"), 0)
        stand.wait_for_count("succeeded", 3 * 64)
        order = queues_as_claimed(stand)

    # While all three hold jobs: urgent's 64 are over after 102.
    counts = Counter(order[:96])
    for queue, weight in WEIGHTS.items():
        assert abs(counts[queue] - 96 * weight / 8) <= 4, order


def test_a_lower_priority_is_served_in_the_midst_of_a_flood_once_it_has_aged(
    dsn: str, tmp_path: Path
) -> None:
    with Stand(dsn, tmp_path, {"p": PoolSettings(queues=("q",), ageing=1.0)}) as stand:
        stand.write_app(APP)
        for number in (9, 8):
            stand.table.add("q", number)
        stand.enqueue_many("nap", [(0.05,)] * 50, queue="q", priority=9)
        (low,) = stand.enqueue_many("nap", [(0.0,)], queue="q", priority=8)
        stand.order_worker(stand.forkserver("p"), 0)
        stand.wait_for_count("succeeded", 51)
        claimed = [job for (job,) in stand.query("SELECT id FROM taskd.history ORDER BY fence")]

    assert 0 < claimed.index(low) < 50
