from __future__ import annotations

from taskd.pool.illness import DRAIN_AFTER, Illness


def test_faults_that_pass_are_no_illness() -> None:
    drains: list[str] = []
    illness = Illness(lambda: drains.append("drain"))

    for _ in range(3 * DRAIN_AFTER):
        illness.failed()
        illness.passed()

    assert drains == []


def test_faults_in_a_row_order_one_drain() -> None:
    drains: list[str] = []
    illness = Illness(lambda: drains.append("drain"))

    for _ in range(DRAIN_AFTER - 1):
        illness.failed()
    assert drains == []
    for _ in range(3):
        illness.failed()

    assert drains == ["drain"]
