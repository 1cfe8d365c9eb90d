"""The chores of a host: what it declares, what it settles, what it fires and when."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from taskd.clock import monotonic
from taskd.config.settings import PoolSettings, Settings
from taskd.maintenance.cron import Schedules
from taskd.maintenance.declare import Declare
from taskd.store import schedules
from taskd.store.connect import Connection
from tests.crew import Crew
from tests.store.keepers import count, crew
from tests.store.makers import add_host
from tests.store.timetables import (
    declare,
    end,
    make_due,
    nightly,
    row,
    setting,
    settle,
)

__all__ = ["crew"]
pytestmark = pytest.mark.one_server

IO, CPU = PoolSettings(greenlets=5), PoolSettings()
REPORT = {"name": "shop.report", "schedules": []}
SYNC = {
    "name": "shop.sync",
    "schedules": [
        {
            "name": "shop.sync",
            "spec": {"every": 900.0},
            "args": [],
            "kwargs": {},
            "options": {"catch_up": "one", "catch_up_limit": 100, "overlap": "skip"},
        }
    ],
}


class Household:
    """The two chores of a host, as they are tied together."""

    def __init__(self, crew: Crew, connection: Connection) -> None:
        self.crew, self.connection = crew, connection
        crew.board.host = add_host(connection)
        self.schedules = Schedules(crew.host, lambda: None, lambda: self.declare.soon())
        self.declare = self.start()

    def start(self, **changes: Any) -> Declare:
        """Begin with these settings."""
        usual = {"pools": {"io": IO}, "schedules": {"nightly": setting()}}
        self.settings = Settings(**{**usual, **changes})
        self.declare = Declare(self.crew.host, self.settings, lambda: None, self.schedules.soon)
        return self.declare

    def turn(self) -> None:
        """Run what is due, as the thread of the chores does."""
        for chore in (self.declare, self.schedules):
            if chore.due() <= monotonic():
                chore.run(self.connection)

    def names(self) -> list[str]:
        return [one.name for one in schedules.list_schedules(self.connection)]

    def queued(self) -> int:
        return count(self.connection, "SELECT count(*) FROM taskd.queued")


@pytest.fixture
def household(crew: Crew, connection: Connection) -> Household:
    return Household(crew, connection)


# --- declaring ------------------------------------------------------------------------------------


def test_a_host_speaks_when_the_code_of_all_its_pools_is_known(household: Household) -> None:
    household.start(pools={"io": IO, "cpu": CPU})

    household.turn()
    household.declare.take_tasks("io", [REPORT, SYNC])
    household.turn()
    before = household.names()
    household.declare.take_tasks("cpu", [REPORT, SYNC])
    household.turn()

    assert before == []
    assert household.names() == ["nightly", "shop.sync"]
    assert household.declare.due() == inf


def test_a_host_that_has_spoken_waits_for_no_pool_any_more(household: Household) -> None:
    household.declare.take_tasks("io", [REPORT, SYNC])
    household.turn()

    household.declare.take_settings(
        Settings(pools={"io": IO, "new": CPU}, schedules={"other": setting()})
    )
    household.turn()

    assert row(household.connection, "other").removed_at is None
    assert row(household.connection, "nightly").removed_at is not None
    assert row(household.connection, "shop.sync").removed_at is None


def test_the_code_of_a_pool_that_is_gone_wants_nothing(household: Household) -> None:
    household.start(pools={"io": IO, "cpu": CPU})
    household.declare.take_tasks("io", [REPORT])
    household.declare.take_tasks("cpu", [SYNC])
    household.turn()

    household.declare.take_settings(Settings(pools={"io": IO}))
    household.turn()

    assert row(household.connection, "shop.sync").removed_at is not None


def test_the_file_goes_before_the_code(household: Household) -> None:
    household.start(schedules={"shop.sync": setting(task="shop.sync", every=60.0)})

    household.declare.take_tasks("io", [SYNC])
    household.turn()

    found = row(household.connection, "shop.sync")
    assert (found.source, found.spec) == ("yaml", '{"every":60.0}')
    assert "schedule shop.sync: the one of the file holds, not that of the code" in (
        household.crew.stories()
    )


def test_a_task_that_no_code_offers_is_told_once(household: Household) -> None:
    for _ in range(2):
        household.declare.take_tasks("io", [SYNC])
        household.turn()

    told = [story for story in household.crew.stories() if "offers the task" in story]
    assert told == ["schedule nightly: no module of `imports` offers the task shop.report"]


def test_arguments_that_the_task_does_not_take_are_told_once_and_the_schedule_is_kept(
    household: Household,
) -> None:
    parameters = [{"name": "region", "kind": "positional_or_keyword"}]
    for _ in range(2):
        household.declare.take_tasks("io", [{**REPORT, "parameters": parameters}])
        household.turn()

    told = [story for story in household.crew.stories() if "will fail" in story]
    assert told == [
        "schedule nightly: its jobs will fail, for shop.report() missing a required argument: "
        "'region': it takes (region): correct its args and kwargs"
    ]
    assert household.names() == ["nightly"]


def test_after_a_reload_a_task_is_missed_only_when_the_new_code_is_known(
    household: Household,
) -> None:
    household.declare.take_tasks("io", [REPORT])
    household.turn()

    household.declare.take_settings(
        Settings(pools={"io": IO}, schedules={"new": setting(task="shop.new")})
    )
    household.turn()
    early = household.crew.stories()
    household.declare.take_tasks("io", [REPORT])
    household.turn()

    assert not [story for story in early if "offers the task" in story]
    assert [story for story in household.crew.stories() if "offers the task" in story] == [
        "schedule new: no module of `imports` offers the task shop.new"
    ]


def test_a_time_that_is_past_when_it_is_first_seen_is_told_as_over(household: Household) -> None:
    past = setting(every=None, run_at="2020-01-31T08:00:00+00:00")
    household.start(schedules={"once": past})

    household.declare.take_tasks("io", [REPORT])
    household.turn()

    assert "schedule once is new, and no slot of it is left" in household.crew.stories()
    assert household.queued() == 0


def test_what_the_code_wants_stays_wanted_while_a_renamed_pool_imports_it(
    household: Household,
) -> None:
    household.declare.take_tasks("io", [REPORT, SYNC])
    household.turn()

    household.declare.take_settings(Settings(pools={"web": IO}, schedules={"nightly": setting()}))
    household.turn()
    meanwhile = row(household.connection, "shop.sync").removed_at
    household.declare.take_tasks("web", [REPORT])
    household.turn()

    assert meanwhile is None
    assert row(household.connection, "shop.sync").removed_at is not None


def test_a_new_row_of_the_host_is_spoken_for_again(household: Household) -> None:
    household.declare.take_tasks("io", [REPORT])
    household.turn()
    end(household.connection, household.crew.board.host)

    household.crew.board.host = add_host(household.connection)
    household.declare.again()
    household.turn()
    make_due(household.connection)
    household.schedules.soon()
    household.turn()

    assert household.queued() == 1


def test_what_could_not_be_said_is_said_again(household: Household) -> None:
    household.declare.take_tasks("io", [REPORT])
    household.connection.execute("ALTER TABLE taskd.schedule_voice RENAME TO hidden")
    with pytest.raises(Exception, match="schedule_voice"):
        household.turn()
    household.connection.execute("ALTER TABLE taskd.hidden RENAME TO schedule_voice")

    household.turn()

    assert household.names() == ["nightly"]


def test_the_end_of_another_host_is_a_reason_to_settle(household: Household) -> None:
    household.declare.take_tasks("io", [REPORT])
    other = declare(household.connection, nightly("theirs"))
    household.declare.see_hosts({other})
    household.turn()

    end(household.connection, other)
    household.declare.see_hosts({other})
    household.turn()
    before = row(household.connection, "theirs").removed_at
    household.declare.see_hosts(set())
    household.turn()

    assert before is None
    assert row(household.connection, "theirs").removed_at is not None


def test_a_schedule_that_is_not_understood_here_is_left_to_others(household: Household) -> None:
    declare(household.connection, nightly("moon", spec={"moon": "full"}))
    household.declare.take_tasks("io", [REPORT])

    household.turn()

    assert household.names() == ["nightly"]
    assert [story for story in household.crew.stories() if "moon" in story] == [
        "schedule moon cannot be seen to on this host: "
        "schedule={'moon': 'full'} is of a kind that only a newer taskd knows"
    ]


# --- firing ---------------------------------------------------------------------------------------


@pytest.fixture
def firing(household: Household) -> Household:
    """A host with an hourly schedule whose slot has just come."""
    household.declare.take_tasks("io", [REPORT])
    household.turn()
    make_due(household.connection)
    household.schedules.soon()
    return household


def test_a_slot_that_has_come_gets_its_job_and_the_chore_sleeps_until_the_next(
    firing: Household,
) -> None:
    firing.turn()

    pause = firing.schedules.due() - monotonic()
    next_at = row(firing.connection).next_at
    assert firing.queued() == 1
    assert next_at is not None
    assert abs((next_at - row(firing.connection).now).total_seconds() - pause) < 2


def test_a_poll_without_pause_does_not_fire_twice(firing: Household) -> None:
    for _ in range(20):
        firing.schedules.run(firing.connection)

    assert firing.queued() == 1


def test_the_next_slot_is_known_from_beats_as_well(firing: Household) -> None:
    firing.turn()

    firing.schedules.due_in(10.0)
    firing.schedules.due_in(20.0)

    assert 9.0 < firing.schedules.due() - monotonic() <= 10.0


def test_the_options_of_the_task_hold_for_what_the_schedule_does_not_say(
    firing: Household,
) -> None:
    offer = {**REPORT, "queue": "reports", "priority": 2, "timeout": 7.0, "retries": 3}
    from taskd.store import hosts

    hosts.publish_tasks(firing.connection, firing.crew.board.host, "io", [offer])

    firing.turn()

    found = firing.connection.execute(
        "SELECT queue, priority, timeout, max_attempts FROM taskd.queued"
    ).fetchone()
    assert found == ("reports", 2, 7.0, 4)


def test_missed_slots_are_told(firing: Household) -> None:
    make_due(firing.connection, ago=3 * 3600)
    missed = row(firing.connection).next_at

    firing.turn()

    assert missed is not None
    assert (
        f"schedule nightly was due at {missed:%Y-%m-%d %H:%M:%S %Z} and nobody saw to it: "
        "1 job makes up for it (catch_up: one)"
    ) in firing.crew.stories()


def test_a_skipped_slot_is_told(firing: Household) -> None:
    firing.turn()
    make_due(firing.connection)
    firing.schedules.soon()

    firing.turn()

    assert firing.queued() == 1
    assert "its last job has not ended (overlap: skip)" in firing.crew.stories()[-1]


def test_a_slot_whose_unique_job_has_not_ended_gets_no_other(firing: Household) -> None:
    unique = {"key": "report", "until": "finished", "on_conflict": "keep"}
    options = {"catch_up": "one", "catch_up_limit": 1, "overlap": "queue", "unique": unique}
    of_code = nightly(source="code", options=options)
    declare(firing.connection, of_code, host=firing.crew.board.host)
    settle(firing.connection)
    firing.turn()
    make_due(firing.connection)
    firing.schedules.soon()

    firing.turn()

    job = row(firing.connection).last_job
    assert firing.queued() == 1
    assert firing.crew.stories()[-1].endswith(f"is skipped, for job {job} holds its unique key")


def test_a_schedule_that_is_not_understood_here_holds_up_no_other(firing: Household) -> None:
    declare(firing.connection, nightly("moon"))
    settle(firing.connection)
    firing.connection.execute(
        "UPDATE taskd.schedule_definition SET spec = '{\"moon\": \"full\"}' WHERE name = 'moon'"
    )
    make_due(firing.connection, "moon", ago=60)

    for _ in range(3):
        firing.schedules.run(firing.connection)

    told = [story for story in firing.crew.stories() if "cannot be seen to" in story]
    assert firing.queued() == 1
    assert len(told) == 1
    assert firing.schedules.due() - monotonic() > 0.01


def test_what_others_fire_just_now_is_not_fought_for(firing: Household, connect_again: Any) -> None:
    other = connect_again()
    other.execute("BEGIN")
    other.execute("SELECT FROM taskd.schedule FOR UPDATE")

    firing.turn()
    pause = firing.schedules.due() - monotonic()
    other.execute("COMMIT")

    assert 0.02 < pause <= 0.06
    assert firing.queued() == 0


def test_without_schedules_nothing_of_them_is_loaded(dsn: str) -> None:
    from tests.unit.configuration import run_python

    loaded = run_python(
        "import sys\n"
        "from taskd.config.settings import PoolSettings, Settings\n"
        "from taskd.maintenance.declare import Declare\n"
        "from taskd.maintenance.cron import Schedules\n"
        "from taskd.store.connect import connect\n"
        "from tests.crew import Crew\n"
        f"connection = connect({dsn!r})\n"
        "crew = Crew()\n"
        "crew.board.host = 1\n"
        "chore = Schedules(crew.host, lambda: None, lambda: None)\n"
        "settings = Settings(pools={'io': PoolSettings()})\n"
        "declare = Declare(crew.host, settings, lambda: None, chore.soon)\n"
        "declare.take_tasks('io', [])\n"
        "declare.run(connection)\n"
        "chore.run(connection)\n"
        "print({'cronsim', 'taskd.tasks.schedule'} & set(sys.modules))\n"
    )

    assert loaded == "set()\n"
