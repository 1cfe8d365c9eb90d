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


def test_what_was_too_slow_gets_twice_the_time_until_something_was_answered(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskd.store.link.NOTICE_SECONDS", 0.5)
    link = Link(dsn, "test")
    with pytest.raises(StatementTimedOut, match=r"within 0\.5 s"):
        sleep(link, 0.7)
    assert not link.is_open

    sleep(link, 0.7)

    with pytest.raises(StatementTimedOut, match=r"within 0\.5 s"):
        sleep(link, 0.7)
    link.close()
