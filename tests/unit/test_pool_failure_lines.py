from __future__ import annotations

import pytest

from taskd.events import Event, Events
from taskd.pool.failure_lines import AT_ONCE, FailureLines
from taskd.pool.job_events import JobFailed


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def lines(heard: list[Event]) -> FailureLines:
    events = Events()
    events.subscribe(heard.append)
    return FailureLines(events)


def failed(job: int, task: str = "shop.fetch") -> JobFailed:
    return JobFailed(job, task, "sync", 1, "ValueError: no")


def test_a_flood_is_a_few_lines_and_then_one_a_second_that_counts(
    lines: FailureLines, heard: list[Event]
) -> None:
    for number in range(5000):
        lines.tell(failed(number), now=number / 500)
        lines.settle(now=number / 500)
    lines.settle(now=11.0)

    assert heard[:AT_ONCE] == [failed(number) for number in range(AT_ONCE)]
    assert AT_ONCE + 9 <= len(heard) <= AT_ONCE + 12
    assert AT_ONCE + sum(event.count for event in heard[AT_ONCE:]) == 5000  # type: ignore[attr-defined]
    assert str(heard[-1]).endswith("(shop.fetch) failed, the last was job 4999: ValueError: no")


def test_seldom_failures_have_a_line_each(lines: FailureLines, heard: list[Event]) -> None:
    for number in range(50):
        lines.tell(failed(number), now=2.0 * number)

    assert heard == [failed(number) for number in range(50)]


def test_one_tasks_flood_hides_no_others_failure(lines: FailureLines, heard: list[Event]) -> None:
    for number in range(100):
        lines.tell(failed(number), now=0.0)
    lines.tell(failed(7, "shop.mail"), now=0.0)

    assert heard[-1] == failed(7, "shop.mail")


def test_what_was_counted_is_told_at_the_end(lines: FailureLines, heard: list[Event]) -> None:
    for number in range(100):
        lines.tell(failed(number), now=0.0)

    lines.settle(now=0.0, all_now=True)
    lines.settle(now=0.0, all_now=True)

    assert len(heard) == AT_ONCE + 1
    assert str(heard[-1]).startswith(f"{100 - AT_ONCE} more jobs (shop.fetch) failed")
