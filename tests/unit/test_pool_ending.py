from __future__ import annotations

import logging

import pytest

from taskd.events import Event, Events
from taskd.pool.ending import put
from taskd.pool.outbox import Outbox
from taskd.tasks.outcome import (
    DONE,
    Cancelled,
    Done,
    Failed,
    Interrupted,
    Outcome,
    Retried,
    Snoozed,
    Stored,
)

ROW = [7, 5, "sync", 70, 1, 3, None, "shop.fetch", [], None, None]


def told(outcome: Outcome, *, tells_ends: bool = False) -> list[Event]:
    heard: list[Event] = []
    events = Events()
    events.subscribe(heard.append)
    outbox = Outbox("io/0", events, tells_ends=tells_ends)
    put(outbox, memoryview(bytearray(8 * 64)).cast("q"), ROW, 0.1, outcome)
    return heard


def test_a_failed_job_is_a_warning_that_names_it_and_its_error() -> None:
    [event] = told(Failed("ValueError: no such page", "Traceback …"))

    assert event.level == logging.WARNING
    assert str(event) == "job 7 (shop.fetch) failed: ValueError: no such page"


def test_a_failed_attempt_is_told_with_when_the_next_one_is() -> None:
    [event] = told(Retried(12.34, "OSError: timed out", "Traceback …"))

    assert event.level == logging.INFO
    assert str(event) == (
        "job 7 (shop.fetch) failed in attempt 1 of 3, once more in 12.3 s: OSError: timed out"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ValueError: one\ntwo", "ValueError: one …"),
        ("x" * 5000, f"{'x' * 299}…"),
        ("\x1b[2J gone", " [2J gone"),
    ],
    ids=["many lines", "long", "takes the terminal over"],
)
def test_an_error_is_one_short_line(error: str, line: str) -> None:
    [event] = told(Failed(error))

    assert str(event) == f"job 7 (shop.fetch) failed: {line}"


@pytest.mark.parametrize(
    "outcome", [Done("5"), Snoozed(3.0), Interrupted(), Cancelled("told to"), Stored()], ids=repr
)
def test_other_ends_are_not_worth_a_line(outcome: Outcome) -> None:
    assert told(outcome) == []


def test_what_a_job_raises_that_has_ended_itself_is_a_warning() -> None:
    [event] = told(Stored("ValueError: too late"))

    assert event.level == logging.WARNING
    assert str(event).endswith("which changes nothing: ValueError: too late")


@pytest.mark.parametrize(("outcome", "how"), [(DONE, "done"), (Cancelled("why"), "cancelled")])
def test_with_debug_every_end_is_a_line(outcome: Outcome, how: str) -> None:
    [event] = told(outcome, tells_ends=True)

    assert event.level == logging.DEBUG
    assert str(event) == f"job 7 (shop.fetch, queue sync), attempt 1: {how} after 0.100 s"


@pytest.mark.parametrize(
    ("outcome", "lets_go"),
    [
        (Retried(1.0, "OSError", "Traceback …"), True),
        (Retried(1.0, "JobTimeout", None, True), True),
        (Snoozed(1.0), True),
        (Interrupted(), False),
    ],
    ids=["retry", "timeout", "snooze", "interrupt"],
)
def test_what_lets_go_in_a_pause_does_so_but_for_an_interrupt(
    outcome: Outcome, lets_go: bool
) -> None:
    for extra, expected in (({"on_retry": "release"}, lets_go), ({"fair": "a"}, False)):
        outbox = Outbox("io/0", Events())
        row = [*ROW[:10], extra]
        put(outbox, memoryview(bytearray(8 * 64)).cast("q"), row, 0.1, outcome)

        assert [one.release for one in outbox.retries] == [expected]
