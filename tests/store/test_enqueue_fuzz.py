"""Whatever is enqueued, it is stored and can be read, or is refused and has left nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import taskd
from taskd.errors import TaskdError
from taskd.store import jobs, mail
from taskd.store.connect import Connection
from taskd.store.look import list_jobs
from taskd.store.rows import JobFilter, NewJobs
from tests.commands import taskd_json
from tests.store.logins import WEB, logged_in, make_logins
from tests.store.makers import add_worker, claim

pytestmark = pytest.mark.one_server

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.sampled_from([-(2**63), -1, 0, 1, 9, 10, 11, 32767, 32768, 2**31, 2**63]) | st.floats()
TEXTS = st.sampled_from(["", "a", "sync@v2", "a@b@c", "@queue x", "é", "x" * 400, "\\", "'", "%s"])
ANYTHING = VALUES | NUMBERS | TEXTS

few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def web(dsn: str, connection: Connection) -> Iterator[Connection]:
    """A connection of a member of taskd_enqueuer, who can call more than our client does."""
    make_logins(connection)
    with logged_in(dsn, WEB) as found:
        yield found


@pytest.fixture
def client(dsn: str) -> Iterator[None]:
    taskd.configure(database=dsn)
    yield
    taskd.configure()


def is_sound(connection: Connection) -> None:
    """Insist that all that is stored can be worked off, read and claimed; then forget it."""
    while mail.dispatch(connection) > 0:
        pass
    jobs.promote_jobs(connection, 100)
    assert connection.execute("SELECT * FROM taskd.audit").fetchall() == []
    for row in list_jobs(connection, JobFilter(limit=1000)):
        json.dumps(row.to_json_dict())
    lanes = [(lane.queue, lane.lane, 0) for lane in jobs.all_lanes(connection)]
    if lanes:
        claim(connection, add_worker(connection), 100, *lanes)
    for table in ("queued", "scheduled", "blocked", "running", "unique_key", "mail", "line",
                  "resource", "capacity", "dependency"):  # fmt: skip
        name = psycopg.sql.Identifier("taskd", table)
        connection.execute(psycopg.sql.SQL("DELETE FROM {}").format(name))


@few
@given(args=st.lists(VALUES, max_size=3), kwargs=st.dictionaries(st.text(), VALUES, max_size=3))
def test_arguments_come_out_as_they_went_in(
    client: None, args: list[Any], kwargs: dict[str, Any]
) -> None:
    kwargs.pop("connection", None)
    try:
        job = taskd.enqueue("shop.sync", *args, **kwargs)
    except (TaskdError, TypeError):
        return
    row = job.refresh()
    assert (row.args, row.kwargs) == (args, kwargs)


OPTIONS = (
    "queue", "priority", "delay", "run_at", "timeout", "retry", "expires", "unique", "unique_until",
    "on_conflict", "after", "on_parent_failure", "resources",
)  # fmt: skip


@few
@given(st.dictionaries(st.sampled_from(OPTIONS), ANYTHING, max_size=3))
def test_any_options_are_taken_or_refused_by_name(
    client: None, connection: Connection, options: dict[str, Any]
) -> None:
    with suppress(TaskdError):
        taskd.enqueue_many("shop.sync", [(1,)], **options)
    is_sound(connection)


@few
@given(text=st.text() | VALUES.filter(lambda value: value == value).map(repr))
def test_arguments_that_are_no_json_are_refused_by_the_database(
    connection: Connection, text: str
) -> None:
    with suppress(psycopg.Error, UnicodeEncodeError):
        jobs.enqueue_jobs(connection, NewJobs("shop.sync", [text], [None]))
    is_sound(connection)


FIELDS = (
    "task", "args", "kwargs", "queue", "priority", "delay", "run_at", "max_attempts", "timeout",
    "extra", "key", "until", "on_conflict", "run_if_failed", "parents", "res", "need", "is_grouped",
    "limits",
)  # fmt: skip
PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "task": TEXTS | st.just("shop.sync"),
    "args": st.sampled_from(["[]", "[1]", "{}", "", "[1"]),
    "kwargs": st.sampled_from(["{}", "[]", None]),
    "queue": TEXTS | st.just("default"),
    "priority": st.integers(-1, 12),
    "max_attempts": st.integers(-1, 40000),
    "delay": st.floats() | st.just(1e300),
    "run_at": st.sampled_from(["2030-01-01T00:00:00Z", "infinity", "-infinity", "now"]),
    "timeout": NUMBERS,
    "until": st.sampled_from(["started", "finished", "60", "nan", "x"]),
    "on_conflict": st.sampled_from(["keep", "replace", "earlier", "x"]),
    "parents": st.lists(st.integers(-3, 3), max_size=3),
    "res": st.lists(TEXTS | st.just("repo:1"), max_size=3),
    "need": st.lists(st.sampled_from([-1, 0, 1, 2147483647]), max_size=3),
    "limits": st.dictionaries(
        st.sampled_from(["@key a", "@task b", "c"]), st.lists(NUMBERS | st.none(), max_size=4)
    ),
    "extra": st.dictionaries(
        st.sampled_from(["expires", "expires_in", "headers", "fair", "on_lost", "on_retry", "by",
                         "unique", "until", "parents", "group", "limits", "schedule"]),
        ANYTHING,
        max_size=3,
    ),
}  # fmt: skip
ROW = st.fixed_dictionaries(
    {"task": st.just("shop.sync"), "args": st.just("[1]"), "queue": st.just("default"),
     "priority": st.just(5), "max_attempts": st.just(1)}
)  # fmt: skip
CHANGES = st.dictionaries(st.sampled_from(FIELDS), st.none(), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({name: PLAUSIBLE.get(name, ANYTHING) for name in chosen})
)
NEW_JOBS = st.lists(st.tuples(ROW, CHANGES).map(lambda pair: pair[0] | pair[1]), max_size=3)


def as_json(value: object) -> str:
    return json.dumps(value, default=repr, allow_nan=True)


@few
@given(NEW_JOBS | ANYTHING)
def test_whatever_an_enqueuer_says_nothing_of_it_stops_the_work(
    web: Connection, connection: Connection, document: Any
) -> None:
    with suppress(psycopg.Error, UnicodeEncodeError):
        web.execute("SELECT taskd.enqueue_own_graph_v1(%s::json, false)", (as_json(document),))
    is_sound(connection)


@few
@given(
    extra=st.just({}) | PLAUSIBLE["extra"] | ANYTHING,
    unique=PLAUSIBLE["until"] | ANYTHING,
    on_conflict=PLAUSIBLE["on_conflict"] | ANYTHING,
    delay=st.none() | NUMBERS,
    count=st.integers(0, 2),
)
def test_nor_does_it_if_it_calls_the_other_function(
    web: Connection,
    connection: Connection,
    extra: Any,
    unique: Any,
    on_conflict: Any,
    delay: float | None,
    count: int,
) -> None:
    wish = {"keys": ["k"] * count, "until": unique, "on_conflict": on_conflict}
    new = NewJobs(
        "shop.sync",
        ["[1]"] * count,
        [None] * count,
        delay=delay,
        extra=as_json(extra),
        unique=None if unique == "x" else as_json(wish),
    )
    with suppress(psycopg.Error, UnicodeEncodeError):
        jobs.enqueue_jobs(web, new)
    is_sound(connection)


@few
@given(st.lists(st.text() | st.integers() | st.none(), max_size=3))
def test_what_the_command_prints_as_json_is_what_was_stored(
    client: None, dsn: str, args: list[Any]
) -> None:
    try:
        job = taskd.enqueue("shop.sync", *args)
    except (TaskdError, TypeError):
        return
    assert taskd_json("--database", dsn, "jobs", "show", str(job.id), "--json")["args"] == args
