"""Short ways to have hosts that want something scheduled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from taskd.config.settings import PoolSettings, ScheduleSettings, Settings
from taskd.maintenance.cron import Schedules
from taskd.maintenance.declare import Declare
from taskd.store import schedules
from taskd.store.connect import Connection
from taskd.store.rows import NewJob
from taskd.store.schedule_rows import Definition, DueSchedule, Firing, ScheduleRow
from tests.crew import Crew
from tests.store.makers import add_host

AnyConnection = psycopg.Connection[Any]

HOUR = timedelta(hours=1)
NEW = NewJob(task="shop.report", args="[]", extra={"schedule": "nightly"})


def nightly(name: str = "nightly", **changes: Any) -> Definition:
    usual: dict[str, Any] = {
        "name": name,
        "source": "yaml",
        "task": "shop.report",
        "spec": {"every": 3600.0},
        "args": [],
        "kwargs": {},
        "options": {"catch_up": "one", "catch_up_limit": 100, "overlap": "skip"},
    }
    return Definition(**{**usual, **changes})


def declare(connection: AnyConnection, *definitions: Definition, host: int | None = None) -> int:
    """Let a host, a new one unless one is given, want these; they are not settled. Its id."""
    if host is None:
        host = add_host(connection)
    schedules.declare_schedules(connection, host, definitions)
    return host


def end(connection: AnyConnection, *hosts: int) -> None:
    """End hosts, as their goodbye or somebody's rescue does."""
    for host in hosts:
        connection.execute("UPDATE taskd.host SET ended_at = now() WHERE id = %s", (host,))


def settle(connection: Connection) -> None:
    """What each host does when something has changed."""
    chore = Declare(Crew().host, Settings(pools={"io": PoolSettings()}), lambda: None, lambda: None)
    chore.soon()
    chore.run(connection)


def make_due(connection: AnyConnection, name: str = "nightly", ago: float = 0.0) -> None:
    """Let a slot of a schedule have come so many seconds ago."""
    connection.execute(
        "UPDATE taskd.schedule SET next_at = clock_timestamp() - %s * interval '1 second' "
        "WHERE name = %s",
        (ago, name),
    )


def row(connection: AnyConnection, name: str = "nightly") -> ScheduleRow:
    found = schedules.find_schedule(connection, name)
    assert found is not None
    return found


def the_due(connection: AnyConnection) -> DueSchedule:
    (found,) = schedules.due_schedules(connection)
    return found


def firing(due: DueSchedule, **changes: Any) -> Firing:
    """What a host makes of a schedule that is due: its one slot, and the next in an hour."""
    usual: dict[str, Any] = {
        "slots": (due.next_at,),
        "last": due.next_at,
        "next_at": due.next_at + HOUR,
        "skip": False,
    }
    return Firing(**{**usual, **changes})


def fire(connection: AnyConnection, due: DueSchedule, **changes: Any) -> list[int] | None:
    return schedules.fire_schedule(connection, due, NEW, firing(due, **changes))


def make_chore(crew: Crew) -> Schedules:
    return Schedules(crew.host, lambda: None, lambda: None)


def setting(**changes: Any) -> ScheduleSettings:
    return ScheduleSettings(**{"task": "shop.report", "every": 3600.0, **changes})
