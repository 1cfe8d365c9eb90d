"""Suspects, under which workers have died, run alone in their worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.config.settings import PoolSettings
from taskd.store import jobs
from taskd.store.rows import NewJobs
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.waiting import eventually

APP = """
import os
import time


def note(path, name, seconds=0.0):
    for what in ("begins", "ends"):
        with open(path, "a") as file:
            file.write(f"{name} {what} in {os.getpid()}\\n")
        if what == "begins":
            time.sleep(seconds)
"""
POOLS = {"io": PoolSettings(greenlets=5), "cpu": PoolSettings()}


class Notes:
    """What the jobs of a test have noted: who begins and ends, in that order."""

    def __init__(self, stand: Stand, path: Path) -> None:
        self._stand = stand
        self._path = path

    def enqueue(self, name: str, seconds: float = 0.0, *, times: int = 1) -> list[int]:
        return self._stand.enqueue_many("note", [(str(self._path), name, seconds)] * times)

    def suspect(self, name: str, seconds: float = 0.0) -> int:
        """Enqueue a job under which two workers were lost."""
        stand = self._stand
        new = NewJobs("app.note", [json.dumps([str(self._path), name, seconds])], [None])
        with stand.connection.transaction():
            (job,) = jobs.enqueue_jobs(stand.connection, new)
            stand.connection.execute(
                "UPDATE taskd.queued SET losses = 2, lane = 11 WHERE id = %s", (job,)
            )
        stand.wake()
        return job

    def lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    def has_begun(self, name: str) -> bool:
        return any(line.startswith(f"{name} begins") for line in self.lines())

    def beside(self, name: str) -> set[str]:
        """Which jobs of the same worker ran while this one did."""
        running: set[str] = set()
        found: set[str] = set()
        place = next(one.split()[-1] for one in self.lines() if one.startswith(f"{name} begins"))
        for line in self.lines():
            job, what, _, pid = line.split()
            if pid != place:
                continue
            (running.add if what == "begins" else running.discard)(job)
            if name in running:
                found |= running
        return found - {name}


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    with lasting_stand(embedded_server, folder, POOLS, APP) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    shared_stand.renew()
    return shared_stand


@pytest.fixture
def notes(stand: Stand, tmp_path: Path) -> Notes:
    return Notes(stand, tmp_path / "notes")


@pytest.mark.parametrize("pool", POOLS)
def test_an_idle_worker_takes_a_suspect_and_nothing_beside_it(
    stand: Stand, notes: Notes, pool: str
) -> None:
    stand.start(pool)

    notes.suspect("suspect", 0.5)
    eventually(lambda: notes.has_begun("suspect"))
    for number in range(20):
        notes.enqueue(f"other-{number}")

    stand.wait_for_count("succeeded", 21)
    assert notes.beside("suspect") == set()


def test_a_suspect_waits_until_the_workers_hands_are_empty(stand: Stand, notes: Notes) -> None:
    stand.start("io")
    notes.enqueue("other", 0.7)
    eventually(lambda: notes.has_begun("other"))

    job = notes.suspect("suspect")

    stand.wait_for(job, "succeeded", 5.0)
    assert notes.beside("suspect") == set()


def test_suspects_run_one_after_the_other(stand: Stand, notes: Notes) -> None:
    for number in range(5):
        notes.suspect(f"suspect-{number}", 0.1)

    stand.order_worker(stand.forkserver("io"), 0)

    stand.wait_for_count("succeeded", 5)
    assert [notes.beside(f"suspect-{number}") for number in range(5)] == [set()] * 5


def test_a_busy_worker_makes_room_for_a_suspect_and_goes_on(stand: Stand, notes: Notes) -> None:
    stand.start("io")
    for number in range(200):
        notes.enqueue(f"other-{number}", 0.2)
    eventually(lambda: stand.read().in_flight == 5)

    job = notes.suspect("suspect")

    stand.wait_for(job, "succeeded", 6.0)
    left = stand.query("SELECT count(*) FROM taskd.queued")
    stand.wait_for_count("succeeded", 201)
    assert left != [(0,)]
    assert notes.beside("suspect") == set()


def test_of_two_busy_workers_one_makes_room_while_the_other_goes_on(
    stand: Stand, notes: Notes
) -> None:
    stand.start("io", 0)
    stand.start("io", 1)
    for number in range(300):
        notes.enqueue(f"other-{number}", 0.2)
    eventually(lambda: stand.read(0).in_flight == stand.read(1).in_flight == 5)

    job = notes.suspect("suspect", 1.0)
    eventually(lambda: notes.has_begun("suspect"), 6.0)

    def beside_it() -> list[int]:
        seated = [stand.board.slot(slot).seated() for slot in (0, 1)]
        return [len(jobs) for jobs in seated if jobs != [job]]

    eventually(lambda: [count > 1 for count in beside_it()] == [True], 5.0)
    stand.wait_for_count("succeeded", 301)
    assert notes.beside("suspect") == set()
