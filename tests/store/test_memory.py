"""What processes held: written, thinned with age, read as curves."""

from __future__ import annotations

import os
from dataclasses import replace

from taskd.board import SlotMemory, write_memory
from taskd.board.layout import SUCCEEDED
from taskd.maintenance.readings import Readings
from taskd.maintenance.tree import TreeProcess
from taskd.store import memory
from taskd.store.connect import Connection
from taskd.store.memory import MemoryReading
from tests.crew import Crew
from tests.store.makers import add_host

READING = MemoryReading(
    worker=7,
    pid=70,
    role="worker",
    pool="io",
    slot=3,
    jobs=100,
    bytes=50_000,
    children=10_000,
    low=40_000,
    high=60_000,
    live=30_000,
)
MASTER = replace(READING, worker=None, pid=1, role="master", pool=None, slot=None, children=0)
HOUR, DAY = 3600, 86400


def write(connection: Connection, *readings: MemoryReading, age: float = 0.0) -> None:
    """Store them as if that had been `age` seconds ago."""
    before = count(connection)
    memory.write_memory(connection, 1, readings)
    assert count(connection) == before + len(readings)
    connection.execute(
        "UPDATE taskd.memory_reading SET at = at - %s * interval '1 second' "
        "WHERE at > now() - interval '1 minute'",
        (age,),
    )


def count(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM taskd.memory_reading").fetchone()
    assert row is not None
    return int(row[0])


def test_a_curve_has_what_was_written_oldest_first(connection: Connection) -> None:
    write(connection, READING, age=120)
    write(connection, replace(READING, bytes=55_000), MASTER)

    first, *last = memory.memory_curve(connection, 300)

    assert (first.bytes, first.seconds, first.host) == (50_000, 10, 1)
    assert {one.role for one in last} == {"worker", "master"}
    assert (first.worker, first.pid, first.pool, first.slot) == (7, 70, "io", 3)
    assert (first.jobs, first.children, first.live) == (100, 10_000, 30_000)
    assert (first.low, first.high) == (40_000, 60_000)


def test_a_curve_may_be_of_one_host_pool_or_worker_and_has_a_bound(connection: Connection) -> None:
    write(connection, MASTER, READING, replace(READING, worker=8, pool="cpu"))

    of_worker = memory.memory_curve(connection, 60, worker=8)
    of_pool = memory.memory_curve(connection, 60, pool="io")

    assert [one.pool for one in of_worker] == ["cpu"]
    assert [one.worker for one in of_pool] == [7]
    assert memory.memory_curve(connection, 60, hosts=[2]) == []
    assert len(memory.memory_curve(connection, 60, limit=2)) == 2


def test_old_readings_melt_into_longer_ones_that_keep_the_extremes(connection: Connection) -> None:
    for number in range(60):
        reading = replace(READING, jobs=number, bytes=1000 + number, low=number, high=2000 + number)
        write(connection, reading, age=3 * HOUR + 10 * number)
    write(connection, READING)

    memory.prune_memory(connection, 14 * DAY)

    *melted, young = memory.memory_curve(connection, 4 * HOUR)
    assert young.seconds == 10
    assert 10 <= len(melted) <= 12
    assert {one.seconds for one in melted} == {60}
    assert (min(one.low for one in melted), max(one.high for one in melted)) == (0, 2059)
    assert max(one.jobs for one in melted) == 59
    assert all(one.low + 1000 <= one.bytes <= one.high for one in melted)


def test_after_two_days_there_is_a_reading_in_ten_minutes_and_in_the_end_none(
    connection: Connection,
) -> None:
    for number in range(60):
        write(connection, READING, age=3 * DAY + 60 * number)

    memory.prune_memory(connection, 14 * DAY)
    kept = memory.memory_curve(connection, 14 * DAY)
    memory.prune_memory(connection, 2 * DAY)

    assert {one.seconds for one in kept} == {600}
    assert 6 <= len(kept) <= 8
    assert count(connection) == 0


def test_thinning_twice_changes_nothing(connection: Connection) -> None:
    for number in range(30):
        write(connection, READING, age=3 * HOUR + 10 * number)
    memory.prune_memory(connection, 14 * DAY)
    once = memory.memory_curve(connection, DAY)

    memory.prune_memory(connection, 14 * DAY)

    assert memory.memory_curve(connection, DAY) == once


def hold(crew: Crew, held: int) -> None:
    slot = crew.hire(3, worker=7)
    slot.words[SUCCEEDED] = 40
    write_memory(slot, SlotMemory(bytes=held, children=1, low=held, high=held, peak=held))


def test_maintenance_writes_what_the_board_says_and_of_helpers_what_the_kernel_says(
    connection: Connection,
) -> None:
    crew = Crew()
    crew.board.host = add_host(connection)
    readings = Readings(crew.host)
    readings.take_tree(
        [TreeProcess(os.getpid(), "worker", "io", 3, 1), TreeProcess(os.getppid(), "master")]
    )
    hold(crew, 80_000_000)

    readings.run(connection)

    by_role = {one.role: one for one in memory.memory_curve(connection, 60)}
    worker = by_role["worker"]
    assert (worker.worker, worker.slot, worker.jobs, worker.bytes) == (7, 3, 40, 80_000_000)
    assert by_role["master"].bytes > 100_000
    assert by_role["master"].worker is None


def test_what_has_not_changed_is_not_written_again_for_a_minute(connection: Connection) -> None:
    crew = Crew()
    crew.board.host = add_host(connection)
    readings = Readings(crew.host)
    readings.take_tree([TreeProcess(os.getpid(), "worker", "io", 3, 1)])

    for held in (80_000_000, 80_100_000, 80_000_000, 90_000_000):
        hold(crew, held)
        readings.run(connection)

    curve = memory.memory_curve(connection, 60)
    assert [one.bytes for one in curve] == [80_000_000, 90_000_000]
