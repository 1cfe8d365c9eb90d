"""Real workers on queues: by weight, with priorities that age, for versions of the code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from taskd.config.settings import PoolSettings, QueueSettings
from tests.pool_stand import Stand

APP = """
import time


def nap(seconds):
    time.sleep(seconds)
"""
WEIGHTS = {"u": 5, "s": 2, "m": 1}


@pytest.mark.parametrize(("greenlets", "nap"), [(None, 0.005), (8, 0.1)])
def test_jobs_are_taken_in_proportion_to_the_weights(
    dsn: str, tmp_path: Path, greenlets: int | None, nap: float
) -> None:
    with Stand(dsn, tmp_path, {"p": PoolSettings(queues=WEIGHTS, greenlets=greenlets)}) as stand:
        stand.write_app(APP)
        for queue in WEIGHTS:
            stand.enter_lanes(queue)
            stand.enqueue_many("nap", [(nap,)] * 40, queue=queue)
        stand.order_worker(stand.forkserver("p"), 0)
        stand.wait_for_count("succeeded", 3 * 40)
        rows = stand.query("SELECT queue FROM taskd.history ORDER BY started_at")

    order = "".join(queue for (queue,) in rows)
    counts = Counter(order[:56])  # while all three hold jobs
    for queue, weight in WEIGHTS.items():
        assert abs(counts[queue] - 56 * weight / 8) <= 4, order


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


VERSIONED = """
import time
from taskd import current_job, task


@task(requires="v2")
def where():
    return current_job().queue


@task(requires="v2")
def nap():
    time.sleep(60)
"""


def test_what_requires_a_version_is_a_job_of_its_queue_to_the_worker(
    dsn: str, tmp_path: Path
) -> None:
    pools = {"p": PoolSettings(queues=("sync",), greenlets=2)}
    queues = {"sync": QueueSettings(timeout=0.3)}
    with Stand(dsn, tmp_path, pools, queues=queues, offers=("v1",)) as stand:
        stand.write_app(VERSIONED)
        stand.enter_lanes("sync@v2")
        stand.enter_lanes("sync@v3")
        stand.start("p")
        left = stand.enqueue("where", queue="sync@v3")
        nap = stand.enqueue("nap", queue="sync@v2")
        where = stand.enqueue("where", queue="sync@v2")

        result, *_ = stand.wait_for(where, "succeeded")
        _, error, *_ = stand.wait_for(nap, "failed")
        told = stand.query("SELECT offers, queues FROM taskd.worker")

        assert result == '"sync"'
        assert "JobTimeout" in error
        assert stand.state(left) == "queued"
        assert told == [(["v1", "v2"], ["sync"])]


def test_code_that_offers_more_versions_than_a_worker_can_tell_does_not_import(
    dsn: str, tmp_path: Path
) -> None:
    tasks = "".join(
        f"@task(requires='version-{number}')\ndef f{number}(): ...\n" for number in range(100)
    )
    with Stand(dsn, tmp_path, {"p": PoolSettings()}) as stand:
        stand.write_app(f"from taskd import task\n{tasks}")

        answer = stand.order_forkserver("p").hear()

    assert answer["op"] == "failed"
    assert "the code offers 100 versions" in answer["error"]
