"""The metrics, read back as Prometheus reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from taskd.store import hosts, jobs, queues
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd
from tests.store.asking import Site, site
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of
from tests.store.test_statistics import succeed

pytestmark = pytest.mark.one_server
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def web(dsn: str) -> Iterator[Site]:
    with site(dsn) as found:
        yield found


def samples(web: Site) -> Samples:
    answer = web.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def work(connection: Connection) -> None:
    """Three have succeeded in 0.3 s and one failed; two wait in a paused queue, one could run."""
    worker = add_worker(connection)
    add_jobs(connection, 4)
    rows = claim(connection, worker)
    succeed(connection, worker, rows[:3], took=0.3)
    jobs.complete_jobs(connection, worker, [JobEnd(rows[3][0], fence_of(rows[3]), 0.3, "f")])
    add_jobs(connection, 1)
    add_jobs(connection, 2, queue="mail")
    queues.pause_queue(connection, "mail")


def test_what_has_ended_is_counted_by_queue_task_pool_and_outcome(
    web: Site, connection: Connection
) -> None:
    work(connection)

    found = samples(web)

    place = {"queue": "default", "task": "shop.sync", "pool": "io"}
    assert value(found, "taskd_jobs_total", **place, outcome="succeeded") == 3
    assert value(found, "taskd_jobs_total", **place, outcome="failed") == 1
    assert value(found, "taskd_attempts_started_total", **place) == 4
    assert value(found, "taskd_attempts_ended_total", **place, outcome="lost") == 0


def test_durations_are_histograms(web: Site, connection: Connection) -> None:
    work(connection)

    found = samples(web)

    place = {"queue": "default", "task": "shop.sync", "pool": "io"}
    assert value(found, "taskd_job_run_seconds_count", **place) == 4
    assert value(found, "taskd_job_run_seconds_sum", **place) == pytest.approx(1.2)
    buckets = {
        float(dict(labels)["le"]): number
        for (name, labels), number in found.items()
        if name == "taskd_job_run_seconds_bucket"
    }
    assert all(number == (4 if bound >= 0.3 else 0) for bound, number in buckets.items())
    assert list(buckets) == sorted(buckets)
    assert float("inf") in buckets


def test_where_a_pool_has_part_in_it_each_pool_is_told_by_itself(
    web: Site, connection: Connection
) -> None:
    work(connection)
    host = add_host(connection)
    other = hosts.register_worker(connection, host, 2, "cpu", 0, 4, [], queues=[])
    assert other is not None
    add_jobs(connection, 2)
    succeed(connection, other, claim(connection, other), took=0.3)

    found = samples(web)

    place = {"queue": "default", "task": "shop.sync"}
    counts = {
        name: [value(found, f"{name}", **place, pool=pool) for pool in ("io", "cpu")]
        for name in (
            "taskd_job_run_seconds_count",
            "taskd_job_wait_seconds_count",
            "taskd_attempts_started_total",
        )
    }
    workers = [value(found, "taskd_pool_workers", pool=pool) for pool in ("io", "cpu")]
    assert set(map(tuple, counts.values())) == {(4.0, 3.0)}
    assert workers == [1, 1]


def test_runnable_work_is_what_a_free_slot_could_start(web: Site, connection: Connection) -> None:
    work(connection)

    found = samples(web)

    assert value(found, "taskd_queue_runnable_jobs", queue="default") == 1
    assert value(found, "taskd_queue_runnable_jobs", queue="mail") == 0
    assert value(found, "taskd_queue_jobs", queue="mail", state="queued") == 2
    assert value(found, "taskd_queue_paused", queue="mail") == 1
    assert value(found, "taskd_queue_oldest_job_age_seconds", queue="default") < 60
    assert value(found, "taskd_pool_slots", pool="io") == 1
    assert value(found, "taskd_hosts") == 1


def test_names_that_look_like_the_format_come_back_as_they_were(
    web: Site, connection: Connection
) -> None:
    add_jobs(connection, 1, queue='a"b\\c{d} 7')

    assert value(samples(web), "taskd_queue_runnable_jobs", queue='a"b\\c{d} 7') == 1


def test_each_metric_stands_in_the_reference_and_each_of_the_reference_is_there(
    web: Site, connection: Connection
) -> None:
    work(connection)
    text = web.ask("/metrics").body.decode()

    told = {name for name in re.findall(r"# TYPE (\w+) ", text) if not name.endswith("_created")}
    written = set(re.findall(r"`(taskd_\w+)`", PAGE.read_text(encoding="utf-8")))

    assert told == written


def test_many_who_ask_at_once_read_the_database_once(web: Site, connection: Connection) -> None:
    first = samples(web)
    work(connection)

    assert samples(web) == first
