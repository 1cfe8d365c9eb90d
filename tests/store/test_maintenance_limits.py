"""What maintenance declares of limits: at its start, after a reload, for a new row of its host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import Mock

import pytest

from taskd.config.settings import LimitSettings, QueueSettings, Settings
from taskd.errors import DatabaseError
from taskd.maintenance.host import ThisHost
from taskd.maintenance.limits import Limits
from taskd.store.connect import Connection
from taskd.store.limits import Limit, declare_limits
from tests.store.makers import add_host
from tests.store.test_maintenance_process import POOLS, Master
from tests.waiting import eventually

pytestmark = pytest.mark.one_server

Start = Callable[..., Master]


@pytest.fixture
def start(dsn: str) -> Iterator[Start]:
    """Starts maintenance on the test's database; it is ready when this returns."""
    started: list[Master] = []

    def begin(**settings: Any) -> Master:
        started.append(Master(Settings(database=dsn, pools=POOLS, **settings)).start())
        started[-1].hear("ready")
        return started[-1]

    yield begin
    for master in started:
        master.stop()


def declared(connection: Connection) -> dict[str, int | None]:
    """The concurrency of each limit that an operator has set."""
    rows = connection.execute("SELECT name, units FROM taskd.capacity WHERE is_declared")
    return dict(rows.fetchall())


def test_limits_stand_before_the_master_hears_that_the_database_is_open(
    start: Start, connection: Connection
) -> None:
    start(
        queues={"sync": QueueSettings(concurrency=2), "mail": QueueSettings(description="x")},
        limits={"stripe": LimitSettings(rate="10/s")},
    )

    assert declared(connection) == {"@queue sync": 2, "@key stripe": None}


def test_a_reload_replaces_the_limits(start: Start, connection: Connection, dsn: str) -> None:
    master = start(queues={"sync": QueueSettings(concurrency=2)})

    queues = {"mail": QueueSettings(concurrency=5)}
    master.tell_settings(Settings(database=dsn, pools=POOLS, queues=queues))

    eventually(lambda: declared(connection) == {"@queue mail": 5})


def test_a_host_that_lost_its_lease_declares_its_limits_once_more(
    start: Start, connection: Connection
) -> None:
    master = start(queues={"sync": QueueSettings(concurrency=2)})
    old = master.crew.board.host

    connection.execute("UPDATE taskd.host SET ended_at = now() WHERE id = %s", (old,))

    wishes = "SELECT name FROM taskd.limit_wish WHERE host > %s"
    eventually(lambda: connection.execute(wishes, (old,)).fetchall() == [("@queue sync",)])
    assert declared(connection) == {"@queue sync": 2}


def test_what_only_a_host_wanted_that_is_gone_holds_no_more(
    start: Start, connection: Connection
) -> None:
    start(queues={"sync": QueueSettings(concurrency=2)}, lease=1.0)
    other = add_host(connection)
    declare_limits(
        connection,
        other,
        {"@queue sync": Limit(9), "@queue mail": Limit(9)},
    )
    overruled = declared(connection)

    # It never beats, so it is dead after a lease.
    eventually(lambda: declared(connection) == {"@queue sync": 2})
    assert overruled == {"@queue sync": 9, "@queue mail": 9}


SETTINGS = Settings(queues={"sync": QueueSettings(concurrency=2)})


@dataclass
class Row:
    """A host, as far as limits know it."""

    id: int


class Clock:
    """A chore that has declared at its start, and a clock that goes on to when it is due."""

    def __init__(self, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskd.maintenance.limits.monotonic", lambda: self.now)
        self.now = 1000.0
        self.connection = connection
        self.row = Row(add_host(connection))
        self.chore = Limits(cast("ThisHost", self.row), SETTINGS, lambda: None)
        self.chore.declare(connection, self.row.id)

    def looks(self, seconds: float = 200.0) -> list[float]:
        """When it looks in so many seconds, from now on."""
        began, found = self.now, []
        while (due := max(self.chore.due(), self.now)) <= began + seconds:
            self.now = due
            self.chore.run(self.connection)
            found.append(due - began)
        self.now = began + seconds
        return found


@pytest.fixture
def clock(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(connection, monkeypatch)


def test_who_has_declared_looks_for_jobs_that_have_got_by(clock: Clock) -> None:
    assert clock.looks(361) == [0, 5, 60, 360]


def test_so_it_does_after_a_reload_and_under_a_new_row(clock: Clock) -> None:
    clock.looks()
    clock.chore.take_settings(Settings())
    reloaded = clock.looks()
    clock.row.id = add_host(clock.connection)

    assert (reloaded, clock.looks()) == ([0, 5, 60], [0, 5, 60])


def test_when_another_host_comes_that_one_looks_and_we_settle_once(clock: Clock) -> None:
    clock.looks()

    clock.chore.see_hosts([77])

    assert clock.looks() == [0]


def test_when_another_host_has_gone_we_look_in_its_place(clock: Clock) -> None:
    clock.chore.see_hosts([77, 78])
    clock.looks()

    clock.chore.see_hosts([78])

    assert clock.looks() == [0, 5, 60]


def test_what_could_not_be_settled_is_due_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.looks()
    clock.chore.take_settings(Settings())
    monkeypatch.setattr(
        "taskd.maintenance.limits.settle_limits", Mock(side_effect=DatabaseError("gone"))
    )

    with pytest.raises(DatabaseError, match="gone"):
        clock.chore.run(clock.connection)

    assert clock.chore.due() <= clock.now
