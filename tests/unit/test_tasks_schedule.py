"""Schedules in code: what `@task(schedule=…)` takes, refuses and publishes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskd import At, Cron, Every, errors
from taskd.config.schedules import ScheduleSettings
from taskd.errors import ArgumentsMismatch, OptionInvalid
from taskd.store.rows import NewJob
from taskd.store.schedule_rows import DueSchedule
from taskd.tasks.definition import definitions_of_code, definitions_of_file, job_of
from taskd.tasks.publish import describe_tasks
from tests.unit.configuration import run_python
from tests.unit.tasks_project import UserCode, user_code

SHOP = """
from taskd import Cron, Every, task

NIGHTLY = Cron("0 3 * * *", timezone="Europe/Berlin", args=["eu"], kwargs={"days": 7})

@task(queue="reports", schedule=NIGHTLY)
def report(region, days=1): ...

@task(schedule=[Every("15m"), Cron("@daily"), Cron("@weekly", name="weekly", priority=2)])
def sync(): ...

@task
def plain(): ...
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        yield made


def test_a_task_publishes_its_schedules(code: UserCode) -> None:
    code.module("sshop", SHOP)

    described = {task["name"]: task for task in describe_tasks(["sshop"])}

    assert "schedules" not in described["sshop.plain"]
    assert json.loads(json.dumps(described["sshop.report"]["schedules"])) == [
        {
            "name": "sshop.report",
            "spec": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"},
            "args": ["eu"],
            "kwargs": {"days": 7},
            "options": {"catch_up": "one", "catch_up_limit": 100, "overlap": "skip"},
        }
    ]


def test_schedules_without_a_name_have_that_of_the_task_and_their_place(code: UserCode) -> None:
    code.module("sshop", SHOP)

    (sync,) = (task for task in describe_tasks(["sshop"]) if task["name"] == "sshop.sync")

    assert [one["name"] for one in sync["schedules"]] == ["sshop.sync", "sshop.sync:2", "weekly"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Cron("61 3 * * *"), "Cron: expression='61 3 * * *' has '61' as its minute"),
        (lambda: Cron(5), "Cron: expression=5 is no text"),
        (lambda: Cron("@daily", timezone="Mars"), "Cron: timezone='Mars' is no time zone"),
        (lambda: Every(0), "Every: interval=0 is not between 1 s and 365 d"),
        (lambda: Every(True), "Every: interval=True is not a duration"),
        (lambda: Every("soon"), "Every: interval='soon' is not a duration"),
        (lambda: At("2030"), "At: moment='2030' is not a datetime"),
        (lambda: At(datetime(2030, 1, 1)), "At: moment='2030-01-01T00:00:00' has no time zone"),
        (lambda: Every(5, name="a b"), "Every: name='a b' is not 1 to 200 characters"),
        (lambda: Every(5, args="ab"), "Every: args='ab' is not a list of arguments"),
        (lambda: Every(5, kwargs=["ab"]), "Every: kwargs=['ab'] is not a mapping"),
        (lambda: Every(5, catch_up="some"), "Every: catch_up='some' is not one of none, one, all"),
        (lambda: Every(5, catch_up="all"), "Every: catch_up='all' is to make up for every slot"),
        (lambda: Every(5, catch_up_limit=0), "Every: catch_up_limit=0 is not between 1 and 1000"),
        (lambda: Every(5, overlap="run"), "Every: overlap='run' is not one of skip, queue"),
        (lambda: Every(5, priority=10), "priority=10 is not between 0 and 9"),
        (lambda: Every(5, queue="a,b"), "queue='a,b' is no name for a queue"),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused_where_it_is_written(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(errors.OptionInvalid) as caught:
        make()

    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("schedule", "error", "said"),
    [
        ("'0 3 * * *'", errors.OptionInvalid, "is not a Cron, Every or At"),
        ("Every(5, args=[1, 2])", errors.ArgumentsMismatch, "too many"),
        ("Every(5, args=[1], kwargs={'y': 1})", errors.ArgumentsMismatch, "unexpected keyword"),
        ("Every(5)", errors.ArgumentsMismatch, "missing a required argument"),
        ("Every(5, args=[{1}])", errors.NotJson, "argument 1"),
        ("Every(5, args=['x' * 40_000])", errors.TooLarge, "more than the allowed"),
        ("[Every(5, name='a', args=[1])] * 2", errors.OptionInvalid, "of another one, of sbad.f"),
        ("Every(5, name='taken', args=[1])", errors.OptionInvalid, "of another one, of sbad.g"),
    ],
)  # fmt: skip
def test_a_schedule_that_does_not_fit_its_task_is_refused_when_it_is_imported(
    code: UserCode, schedule: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        code.module(
            "sbad",
            "from taskd import Every, task\n"
            "@task(schedule=Every(5, name='taken'))\n"
            "def g(): ...\n"
            f"@task(schedule={schedule})\n"
            "def f(x): ...\n",
        )


def stored(name: str, task: str, options: dict[str, Any]) -> DueSchedule:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return DueSchedule(
        name=name, definition=1, source="code", task=task, spec="{}", args='["eu"]', kwargs=None,
        options=json.dumps(options), next_at=moment, now=moment,
    )  # fmt: skip


def test_what_a_schedule_does_not_say_is_its_tasks(code: UserCode) -> None:
    code.module("sshop", SHOP)
    offer = next(one for one in describe_tasks(["sshop"]) if one["name"] == "sshop.report")

    plain = job_of(stored("a", "sshop.report", {}), offer)
    urgent = job_of(stored("a", "sshop.report", {"queue": "now", "priority": 9}), offer)

    assert plain == NewJob(
        task="sshop.report", args='["eu"]', queue="reports", extra={"schedule": "a"}
    )
    assert (urgent.queue, urgent.priority) == ("now", 9)


def test_a_task_that_nobody_offers_gets_a_usual_job() -> None:
    assert job_of(stored("a", "shop.gone", {}), None) == NewJob(
        task="shop.gone", args='["eu"]', extra={"schedule": "a"}
    )


def test_what_the_task_says_of_uniqueness_and_expiry_holds_for_its_schedules(
    code: UserCode,
) -> None:
    code.module(
        "suniq",
        "from taskd import Every, task\n"
        "@task(unique=True, unique_until='started', expires=60,\n"
        "      schedule=[Every(5, args=[1]), Every(5, kwargs={'x': 1}, expires=5)])\n"
        "def f(x): ...\n",
    )
    (offer,) = describe_tasks(["suniq"])
    options = [one["options"] for one in offer["schedules"]]

    made = [job_of(stored("a", "suniq.f", one), offer) for one in options]

    assert [one.extra for one in made] == [
        {"expires_in": 60.0, "schedule": "a"},
        {"expires_in": 5.0, "schedule": "a"},
    ]
    assert [(one.key, one.until, one.on_conflict) for one in made] == [
        ('suniq.f({"x":1})', "started", "keep")
    ] * 2


def test_what_the_task_says_of_uniqueness_holds_for_schedules_of_the_file(code: UserCode) -> None:
    code.module(
        "suniq",
        "from taskd import task\n"
        "@task(unique=True, unique_until='started', on_conflict='earlier')\n"
        "def f(x, y=2): ...\n"
        "@task(unique=lambda x: 'k')\n"
        "def made(x): ...\n",
    )
    offer, made = (json.loads(json.dumps(one)) for one in describe_tasks(["suniq"]))
    of_file = replace(stored("a", "suniq.f", {}), source="yaml")

    unique = job_of(of_file, offer)

    assert unique.key == 'suniq.f({"x":"eu","y":2})'
    assert (unique.until, unique.on_conflict) == ("started", "earlier")
    assert job_of(stored("a", "suniq.f", {}), offer).key is None
    with pytest.raises(OptionInvalid, match="schedule it there"):
        job_of(replace(of_file, task="suniq.made"), made)
    with pytest.raises(ArgumentsMismatch, match="missing"):
        job_of(replace(of_file, args="[]"), offer)


def test_what_a_function_of_the_code_makes_for_a_schedule_is_stored_with_it(
    code: UserCode,
) -> None:
    code.module(
        "sneeds",
        "from taskd import Every, exclusive, task\n"
        "@task(resources=lambda x: [exclusive(f'x:{x}')], rate='1/s', fair_by=lambda x: x,\n"
        "      schedule=[Every(5, args=[1]), Every(5, args=[2], name='other')])\n"
        "def f(x): ...\n",
    )
    (offer,) = json.loads(json.dumps(describe_tasks(["sneeds"])))

    made = [job_of(stored("a", "sneeds.f", one["options"]), offer) for one in offer["schedules"]]

    assert [one.res for one in made] == [("x:1", "@task sneeds.f"), ("x:2", "@task sneeds.f")]
    assert [one.need for one in made] == [(2147483647, 1)] * 2
    assert made[0].limits == {"@task sneeds.f": [None, 1.0, None]}
    assert made[0].extra == {"fair": "1", "schedule": "a"}
    with pytest.raises(OptionInvalid, match="schedule it there"):
        job_of(replace(stored("a", "sneeds.f", {}), source="yaml"), offer)


def test_what_the_task_needs_holds_for_schedules_of_the_file(code: UserCode) -> None:
    code.module(
        "sneeds",
        "from taskd import limit, shared, task\n"
        "@task(resources=[shared('a'), limit('b', concurrency=2)], fair_by='x')\n"
        "def f(x): ...\n",
    )
    (offer,) = json.loads(json.dumps(describe_tasks(["sneeds"])))

    made = job_of(replace(stored("a", "sneeds.f", {}), source="yaml"), offer)

    assert (made.res, made.need) == (("a", "@key b"), (1, 1))
    assert made.limits == {"@key b": [2, None, None]}
    assert made.extra == {"fair": "eu", "schedule": "a"}


def test_the_same_wish_has_the_same_digest_wherever_it_is_made(code: UserCode) -> None:
    code.module("sshop", SHOP)
    tasks = describe_tasks(["sshop"])

    once = [one.texts() for one in definitions_of_code(tasks)]
    again = [one.texts() for one in definitions_of_code(json.loads(json.dumps(tasks)))]

    assert once == again
    assert len({digest for _, digest, *_ in once}) == 4


def test_the_file_and_the_code_want_the_same_in_the_same_words(code: UserCode) -> None:
    code.module(
        "same", "from taskd import Cron, task\n@task(schedule=Cron('0 3  * * *'))\ndef f(): ...\n"
    )

    (of_code,) = definitions_of_code(describe_tasks(["same"]))
    (of_file,) = definitions_of_file({"same.f": ScheduleSettings(task="same.f", cron="0 3 * * *")})

    assert of_code.texts()[4:] == of_file.texts()[4:]
    assert of_code.texts()[1] != of_file.texts()[1]


def test_a_task_without_schedule_loads_nothing_of_schedules() -> None:
    loaded = run_python(
        "import sys\n"
        "from taskd import task\n"
        "@task(name='a')\n"
        "def f(): ...\n"
        "print({'cronsim', 'zoneinfo', 'taskd.tasks.schedule'} & set(sys.modules))\n"
    )

    assert loaded == "set()\n"
