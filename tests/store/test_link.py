"""How long a link waits for an answer of the database before it takes another connection."""

from __future__ import annotations

import pytest

from taskd.errors import StatementTimedOut
from taskd.store.link import NOTICE_SECONDS, Link


def sleep(link: Link, seconds: float) -> None:
    with link.connection() as connection:
        connection.execute("SELECT pg_sleep(%s)", [seconds])


def test_a_dead_connection_is_noticed_within_15_seconds() -> None:
    assert NOTICE_SECONDS <= 15 - 3  # and another is opened meanwhile


def test_what_was_too_slow_gets_twice_the_time_though_others_are_answered_meanwhile(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskd.store.link.NOTICE_SECONDS", 1.0)
    link = Link(dsn, "test")
    with pytest.raises(StatementTimedOut, match=r"within 1 s"):
        sleep(link, 1.3)
    assert not link.is_open

    sleep(link, 0.0)
    sleep(link, 1.3)

    monkeypatch.setattr("taskd.store.link.PATIENT_SECONDS", 0.0)
    sleep(link, 0.0)
    with pytest.raises(StatementTimedOut, match=r"within 1 s"):
        sleep(link, 1.3)
    link.close()


def test_a_deadline_that_was_given_stays(dsn: str) -> None:
    link = Link(dsn, "test", deadline=0.3)

    for _ in range(2):
        with pytest.raises(StatementTimedOut, match=r"within 0\.3 s"):
            sleep(link, 5.0)
