from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from taskd.board import WorkerState, write_offers
from taskd.board.layout import CANARY, IN_FLIGHT, STATE
from taskd.maintenance.report import processes_json
from taskd.maintenance.tree import TreeProcess
from tests.crew import Crew

GONE = 2**22 - 1


def report(crew: Crew, *processes: TreeProcess) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(processes_json(processes, crew.slots))
    return entries


def test_a_worker_is_reported_with_what_the_board_says() -> None:
    crew = Crew()
    crew.hire(3, worker=41).words[IN_FLIGHT] = 17

    (entry,) = report(crew, TreeProcess(os.getpid(), "worker", "io", 3, 2))

    assert (entry["pool"], entry["slot"], entry["generation"]) == ("io", 3, 2)
    assert entry["worker"] == 41
    assert (entry["state"], entry["in_flight"]) == ("busy", 17)
    assert entry["offers"] == []


def test_a_worker_is_reported_with_the_versions_that_it_offers() -> None:
    crew = Crew()
    write_offers(crew.hire(3), {"v2", "v1"})

    worker, master = report(
        crew,
        TreeProcess(os.getpid(), "worker", "io", 3, 2),
        TreeProcess(os.getpid(), "master"),
    )

    assert (worker["offers"], master["offers"]) == (["v1", "v2"], [])


def test_a_canary_is_reported_as_one() -> None:
    crew = Crew()
    crew.hire(2)
    crew.hire(3).words[CANARY] = 1
    processes = [TreeProcess(os.getpid(), "worker", "io", slot, 1) for slot in (2, 3)]

    entries = report(crew, *processes, TreeProcess(os.getpid(), "master"))

    assert [entry["canary"] for entry in entries] == [False, True, False]


@pytest.mark.parametrize(
    ("state", "word"), [(WorkerState.READY, "idle"), (WorkerState.DRAINING, "draining")]
)
def test_a_worker_without_jobs_is_idle_unless_it_drains(state: WorkerState, word: str) -> None:
    crew = Crew()
    crew.hire(3).words[STATE] = state

    (entry,) = report(crew, TreeProcess(os.getpid(), "worker", "io", 3, 2))

    assert (entry["state"], entry["in_flight"]) == (word, 0)


def test_a_process_without_slot_just_runs_and_has_memory_and_a_start() -> None:
    (entry,) = report(Crew(), TreeProcess(os.getpid(), "master"))

    assert (entry["role"], entry["state"], entry["in_flight"]) == ("master", "running", 0)
    assert 2**20 < entry["memory_bytes"] < 2**32
    started = datetime.fromisoformat(entry["started"])
    assert 0 <= (datetime.now(UTC) - started).total_seconds() < 86400


def test_a_worker_that_is_not_on_the_board_yet_is_starting() -> None:
    crew = Crew()
    crew.hire(3, pid=GONE)

    (entry,) = report(crew, TreeProcess(os.getpid(), "worker", "io", 3, 2))

    assert (entry["state"], entry["in_flight"]) == ("starting", 0)


def test_a_process_that_is_gone_is_left_out() -> None:
    assert report(Crew(), TreeProcess(GONE, "worker", "io", 0, 1)) == []
