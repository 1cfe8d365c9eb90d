"""Middleware around enqueues, on a real database: what it may change, and all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from taskd import EnqueueCall, Job, Middleware, chain, configure, enqueue, enqueue_many, middleware
from taskd.errors import ArgumentsMismatch, DatabaseUnavailable, HookInvalid, NotJson, ParentUnknown
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd
from taskd.tasks.calls import Call, Target
from taskd.tasks.flow import TaskCall
from taskd.tasks.options import DEFAULTS, read_placement
from tests.hook_lines import no_hooks
from tests.store.makers import add_worker, claim, fence_of

pytestmark = pytest.mark.one_server

Next = Callable[[EnqueueCall], list[Job[Any]]]


@pytest.fixture(autouse=True)
def configured(dsn: str) -> Iterator[None]:
    configure(database=dsn)
    with no_hooks():
        yield
    configure()


def around(enqueue: Callable[[EnqueueCall, Next], Any], order: int = 0) -> None:
    """Register a middleware of one function."""

    class Around(Middleware):
        def enqueue(self, call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
            return enqueue(call, call_next)

    middleware(Around(), order=order)


def known() -> None:
    """A task whose signature is known here."""


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT args, queue, extra->'headers' FROM taskd.job ORDER BY id"
    ).fetchall()


def call_of(*args: Any, **options: Any) -> TaskCall[Any]:
    return TaskCall(Target("shop.sync"), Call(args, {}), read_placement(DEFAULTS, options))


def test_headers_travel_to_the_worker_and_into_history(connection: Connection) -> None:
    around(lambda call, call_next: call_next(call.with_headers(trace="é", depth={"of": [1, None]})))
    enqueue("shop.sync", 1)

    worker = add_worker(connection)
    [row] = claim(connection, worker)
    jobs.complete_jobs(connection, worker, [JobEnd(row[0], fence_of(row), 0.1, "f", None, "E: 1")])

    headers = {"trace": "é", "depth": {"of": [1, None]}}
    assert row[10] == {"headers": headers}
    assert stored(connection) == [("[1]", "default", headers)]


def test_a_requeued_job_keeps_its_headers(connection: Connection) -> None:
    around(lambda call, call_next: call_next(call.with_headers(trace="a")))
    job = enqueue("shop.sync")
    worker = add_worker(connection)
    [row] = claim(connection, worker)
    jobs.complete_jobs(connection, worker, [JobEnd(job.id, fence_of(row), 0.1, "f", None, "E")])

    jobs.requeue_jobs(connection, [job.id])

    assert [headers for _, _, headers in stored(connection)] == [{"trace": "a"}] * 2


def test_the_outermost_sees_what_was_asked_and_the_innermost_what_is_stored(
    connection: Connection,
) -> None:
    seen: list[tuple[str, list[Any], list[int]]] = []

    def tracing(name: str, queue: str) -> Callable[[EnqueueCall, Next], Any]:
        def around(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
            before = [one.placement.queue for one in call.calls]
            made = call_next(call.with_options(queue=queue))
            seen.append((name, before, [job.id for job in made]))
            return made

        return around

    around(tracing("inner", "last"))
    around(tracing("outer", "first"), order=-1)

    job = enqueue("shop.sync")

    assert seen == [("inner", ["first"], [job.id]), ("outer", ["default"], [job.id])]
    assert stored(connection) == [("[]", "last", None)]


def test_arguments_of_single_calls_can_be_changed_and_are_checked_then(
    connection: Connection,
) -> None:
    around(
        lambda call, call_next: call_next(
            call.each(lambda one: one.with_arguments(one.args[0] * 2) if one.args[0] else one)
        )
    )

    made = enqueue_many("shop.sync", [(0,), (1,), (2,)])

    assert [job.id for job in made] == sorted(job.id for job in made)
    assert [args for args, _, _ in stored(connection)] == ["[0]", "[2]", "[4]"]
    with pytest.raises(NotJson, match=r"argument 1: \[0\]: set is not JSON"):
        enqueue_many("shop.sync", [([{1}],)])


def test_calls_of_one_enqueue_may_become_different(connection: Connection) -> None:
    around(
        lambda call, call_next: call_next(
            call.each(
                lambda one: one.with_options(queue=f"q{one.args[0]}").with_headers(n=one.args[0])
            )
        )
    )

    made = enqueue_many("shop.sync", [(2,), (1,)])

    assert len(set(made)) == 2
    assert stored(connection) == [("[2]", "q2", {"n": 2}), ("[1]", "q1", {"n": 1})]


def test_calls_that_differ_in_headers_alone_keep_their_own(connection: Connection) -> None:
    around(
        lambda call, call_next: call_next(call.each(lambda one: one.with_headers(n=one.args[0])))
    )

    enqueue_many("shop.sync", [(2,), (1,)])

    assert [headers for _, _, headers in stored(connection)] == [{"n": 2}, {"n": 1}]


def test_a_flow_is_one_enqueue(connection: Connection) -> None:
    sizes: list[int] = []

    def around_flow(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
        sizes.append(len(call.calls))
        return call_next(call.with_headers(flow=True))

    around(around_flow)
    chain(call_of(1), call_of(2, queue="mail")).enqueue()

    assert sizes == [2]
    assert stored(connection) == [
        ("[1]", "default", {"flow": True}),
        ("[2]", "mail", {"flow": True}),
    ]


def test_many_calls_pass_at_once(connection: Connection) -> None:
    sizes: list[int] = []

    def count(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
        sizes.append(len(call.calls))
        return call_next(call.with_headers(trace="a"))

    around(count)

    made = enqueue_many("shop.sync", [(n,) for n in range(12_000)])

    assert sizes == [12_000]
    assert len(set(made)) == 12_000
    assert enqueue_many("shop.sync", []) == []


class Refused(Exception):
    pass


def refuse(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
    raise Refused


def refuse_late(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
    call_next(call)
    raise Refused


@pytest.mark.parametrize("refusing", [refuse, refuse_late])
def test_what_middleware_raises_reaches_the_caller_and_nothing_is_stored(
    connection: Connection, refusing: Callable[[EnqueueCall, Next], Any]
) -> None:
    around(lambda call, call_next: call_next(call), order=-1)
    around(refusing)

    with pytest.raises(Refused):
        enqueue("shop.sync")
    with pytest.raises(Refused):
        chain(call_of(1), call_of(2)).enqueue()

    assert stored(connection) == []


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("autocommit", [False, True])
def test_in_a_callers_transaction_only_the_enqueue_is_undone(
    dsn: str, connection: Connection, autocommit: bool, has_begun: bool
) -> None:
    around(refuse_late)
    connection.execute("CREATE TABLE note (n integer)")

    with psycopg.connect(dsn, autocommit=autocommit) as own:
        if has_begun:
            own.execute("BEGIN" if autocommit else "SELECT")
            own.execute("INSERT INTO note VALUES (1)")
        with pytest.raises(Refused):
            enqueue(known, connection=own)
        own.execute("INSERT INTO note VALUES (2)")
        own.execute("COMMIT")

    assert stored(connection) == []
    row = connection.execute("SELECT count(*) FROM note").fetchone()
    assert row == (2 if has_begun else 1,)


@pytest.mark.parametrize("has_begun", [False, True])
def test_jobs_let_through_still_vanish_with_the_callers_transaction(
    dsn: str, connection: Connection, has_begun: bool
) -> None:
    around(lambda call, call_next: call_next(call))

    with psycopg.connect(dsn) as own:
        if has_begun:
            own.execute("SELECT 1")
        enqueue(known, connection=own)  # of which nothing need be asked in the transaction
        own.rollback()

    assert stored(connection) == []


def test_middleware_may_write_in_the_transaction_of_the_jobs(connection: Connection) -> None:
    connection.execute("CREATE TABLE shop_audit (task text)")

    def audit(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
        call.connection.execute("INSERT INTO shop_audit VALUES (%s)", (call.calls[0].task,))
        return call_next(call)

    around(audit)
    enqueue("shop.sync")
    with pytest.raises(NotJson):
        enqueue("shop.bad", {1})

    assert connection.execute("SELECT task FROM shop_audit").fetchall() == [("shop.sync",)]


def test_errors_of_the_store_come_out_of_call_next_as_ours(connection: Connection) -> None:
    seen: list[type] = []

    def watch(call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
        try:
            return call_next(call)
        except Exception as error:
            seen.append(type(error))
            raise

    around(watch)
    with pytest.raises(ParentUnknown):
        enqueue_many("shop.sync", [()], after=[123456])
    with pytest.raises(NotJson):
        enqueue("shop.sync", object())

    assert seen == [ParentUnknown, NotJson]


def test_a_database_that_is_away_is_unavailable_as_without_middleware() -> None:
    configure(database="postgresql://127.0.0.1:1/none?connect_timeout=1")
    around(lambda call, call_next: call_next(call))

    with pytest.raises(DatabaseUnavailable):
        enqueue("shop.sync")


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda call, call_next: None, "Around.enqueue must give back the jobs that call_next"),
        (lambda call, call_next: [], "must give back the jobs"),
        (lambda call, call_next: call_next(call) * 2, "must give back the jobs"),
        (lambda call, call_next: [1], "must give back the jobs"),
        (lambda call, call_next: call_next(None), "must call call_next with an EnqueueCall of 1"),
        (lambda call, call_next: call_next(replace(call, calls=())), "must call call_next with"),
    ],
)
def test_middleware_that_loses_a_call_or_a_job_is_named(
    connection: Connection, broken: Any, sentence: str
) -> None:
    around(broken)

    with pytest.raises(HookInvalid, match=sentence):
        enqueue("shop.sync")

    assert stored(connection) == []


def test_unique_jobs_stay_unique_behind_middleware(connection: Connection) -> None:
    around(lambda call, call_next: call_next(call.with_headers(trace="a")))

    first = enqueue_many("shop.sync", [(1,)], unique="k")[0]
    second = enqueue_many("shop.sync", [(2,)], unique="k")[0]

    assert (second.id, first.is_new, second.is_new) == (first.id, True, False)
    assert stored(connection) == [("[1]", "default", {"trace": "a"})]


def test_misfits_are_refused_before_anything_is_stored(connection: Connection) -> None:
    around(lambda call, call_next: call_next(call.each(lambda one: one.with_arguments("u"))))

    with pytest.raises(ArgumentsMismatch, match="got 1 positional arguments, too many"):
        enqueue(known)

    assert stored(connection) == []
