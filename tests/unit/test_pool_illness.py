from __future__ import annotations

import pytest

from taskd.pool.illness import DRAIN_AFTER, EXIT_AFTER, Illness


def test_faults_that_pass_are_no_illness() -> None:
    drains: list[str] = []
    illness = Illness(lambda: drains.append("drain"), 0.0)

    for _ in range(3 * DRAIN_AFTER):
        illness.failed()
        illness.passed()

    assert drains == []


def test_faults_in_a_row_order_one_drain() -> None:
    drains: list[str] = []
    illness = Illness(lambda: drains.append("drain"), 0.0)

    for _ in range(DRAIN_AFTER - 1):
        illness.failed()
    assert drains == []
    for _ in range(3):
        illness.failed()

    assert drains == ["drain"]


@pytest.mark.parametrize(
    ("patience", "faults"), [(0.0, EXIT_AFTER), (30.0, EXIT_AFTER), (600.0, DRAIN_AFTER + 600)]
)
def test_a_worker_that_stays_ill_exits_when_jobs_that_run_have_had_their_time(
    monkeypatch: pytest.MonkeyPatch, patience: float, faults: int
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("os._exit", exits.append)
    illness = Illness(lambda: None, patience)

    for _ in range(faults - 1):
        illness.failed()
    assert exits == []
    illness.failed()

    assert len(exits) == 1
