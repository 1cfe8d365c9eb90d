"""Sign-ins in the audit log: few, quick, and nothing that goes wrong is hidden."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from taskd.clock import monotonic
from taskd.events import Event
from taskd.store.audit import AuditRow, list_audit
from taskd.store.connect import Connection
from taskd.web import session_notes, source
from taskd.web.access import Role
from taskd.web.gate import Caller
from taskd.web.session_notes import SessionNotes
from taskd.web.source import Source
from tests.store.asking import listened_to
from tests.store.logins import BOARD, dsn_of, make_logins

pytestmark = pytest.mark.one_server

READER = Caller(Role.READER, "192.0.2.1")


class Noting:
    """Notes on a database; `told` is what they have told in the log, `now` their time."""

    def __init__(self, dsn: str) -> None:
        events, self.told = listened_to()
        self.source = Source(dsn)
        self.notes = SessionNotes(self.source, events)
        self.now = 1000.0


@pytest.fixture
def noting(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Noting]:
    noting = Noting(dsn)
    monkeypatch.setattr(session_notes, "monotonic", lambda: noting.now)
    yield noting
    noting.source.close()


def noted(connection: Connection) -> list[AuditRow]:
    return list_audit(connection, None, 100)[::-1]


def texts(told: list[Event]) -> list[str]:
    return [str(event) for event in told]


def test_one_role_at_one_address_is_noted_once_a_minute_and_the_others_counted(
    noting: Noting, connection: Connection
) -> None:
    for _ in range(5):
        noting.notes.note(READER, "session.begin")
    noting.notes.note(Caller(Role.READER, "192.0.2.2"), "session.begin")
    noting.now += session_notes.PERIOD_SECONDS
    noting.notes.note(READER, "session.begin")
    noting.now += session_notes.PERIOD_SECONDS
    noting.notes.note(READER, "session.begin")

    assert [(row.address, row.parameters) for row in noted(connection)] == [
        ("192.0.2.1", {}),
        ("192.0.2.2", {}),
        ("192.0.2.1", {"others": 4}),
        ("192.0.2.1", {}),
    ]


def test_many_addresses_write_no_more_than_so_many_lines(
    noting: Noting, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_notes, "MOST_REMEMBERED", 3)

    for number in range(10):
        noting.notes.note(Caller(Role.READER, f"192.0.2.{number}"), "session.begin")
    noting.now += session_notes.PERIOD_SECONDS
    noting.notes.note(Caller(Role.READER, "192.0.2.9"), "session.begin")

    assert [row.address[-1] for row in noted(connection)] == ["0", "1", "2", "9"]


def test_a_note_leaves_the_figures_as_they_are(
    noting: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "KEPT_SECONDS", 3600.0)
    before = noting.source.figures()

    noting.notes.note(READER, "session.begin")

    assert noting.source.figures() is before


def test_a_locked_log_holds_a_sign_in_for_a_second_and_is_told(
    noting: Noting, dsn: str, connection: Connection
) -> None:
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE taskd.audit_log IN SHARE MODE")
        began = monotonic()
        noting.notes.note(READER, "session.begin")
        took = monotonic() - began

    assert source.NOTE_SECONDS <= took < source.ORDER_SECONDS / 2
    (text,) = texts(noting.told)
    assert text.startswith("could not note session.begin of reader at 192.0.2.1: ")
    assert noted(connection) == []


def test_who_may_only_read_notes_nothing_and_is_not_told_of_it(
    dsn: str, connection: Connection
) -> None:
    make_logins(connection)
    read_only = make_conninfo(dsn, options="-c default_transaction_read_only=on")
    for url in (dsn_of(dsn, BOARD), read_only):
        noting = Noting(url)
        noting.notes.note(READER, "session.begin")
        noting.source.close()

        assert texts(noting.told) == []

    assert noted(connection) == []


def test_an_outage_is_told(dsn: str) -> None:
    noting = Noting(make_conninfo(dsn, host="127.0.0.1", port="1"))

    noting.notes.note(READER, "session.begin")
    noting.source.close()

    assert len(noting.told) == 1
