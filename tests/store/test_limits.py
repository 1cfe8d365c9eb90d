"""Limits: admissions that count jobs, or let so many a second in, and shares of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.hosts import register_host, register_worker, rescue_workers
from taskd.store.limits import declare_limits, prune_resources, settle_limits
from taskd.store.resources import list_resources
from taskd.store.rows import JobEnd, JobRetry, NewJob
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_graph,
    complete,
    dispatch,
    one_that_waits,
    retry,
    wait_for_nobody,
)
from tests.store.makers import (
    AnyConnection,
    add_host,
    add_jobs,
    add_worker,
    claim,
    fence_of,
    ids_of,
    places,
)


def limited(
    name: str, *numbers: Any, needs: dict[str, int] | None = None, **options: Any
) -> NewJob:
    """A job that passes a limit, which its code gives these numbers: [concurrency, rate, burst]."""
    names = {**(needs or {}), name: 1}
    return NewJob(
        task="shop.sync",
        args="[]",
        res=tuple(names),
        need=tuple(names.values()),
        limits={name: list(numbers)} if numbers else None,
        **options,
    )


def fair(share: str, **options: Any) -> NewJob:
    return NewJob(task="shop.sync", args="[]", extra={"fair": share}, **options)


def add(connection: AnyConnection, *new: NewJob) -> list[int]:
    ids = add_graph(connection, *new)
    dispatch(connection)
    return ids


def queued(connection: AnyConnection) -> list[int]:
    rows = connection.execute("SELECT id FROM taskd.queued ORDER BY queue, seq").fetchall()
    return [row[0] for row in rows]


def is_sound(connection: AnyConnection) -> bool:
    return connection.execute("SELECT * FROM taskd.audit").fetchall() == []


def test_a_limit_admits_so_many_and_the_next_when_one_has_ended(connection: AnyConnection) -> None:
    worker = add_worker(connection)
    ids = add(connection, *[limited("@key shop", 2, None, None) for _ in range(5)])

    assert queued(connection) == ids[:2]
    first, _ = claim(connection, worker)
    assert queued(connection) == []  # what runs counts
    complete(connection, worker, [first])

    assert queued(connection) == [ids[2]]
    assert is_sound(connection)


def test_the_last_word_of_the_code_counts_for_a_limit(connection: AnyConnection) -> None:
    ids = add(connection, *[limited("@key shop", 1, None, None) for _ in range(3)])
    assert queued(connection) == ids[:1]

    ids += add(connection, limited("@key shop", 3, None, None))

    assert queued(connection) == ids[:3]
    assert is_sound(connection)


def test_a_job_that_waits_for_a_resource_uses_up_no_limit(connection: AnyConnection) -> None:
    worker = add_worker(connection)
    holder, blocked = add(
        connection,
        *[limited("@key shop", 2, None, None, needs={"repo": EXCLUSIVE}) for _ in range(2)],
    )
    free = add(connection, limited("@key shop", 2, None, None))[0]

    assert queued(connection) == [holder, free]
    rows = claim(connection, worker)
    complete(connection, worker, rows[:1])

    assert queued(connection) == [blocked]
    assert is_sound(connection)


def test_narrow_limits_come_before_wide_ones(connection: AnyConnection) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (2, None, None)})
    worker = add_worker(connection)
    ids = add(connection, *[limited("@key a", 1, None, None) for _ in range(3)])
    other = add(connection, limited("@key b", 1, None, None))[0]

    assert queued(connection) == [ids[0], other]
    complete(connection, worker, claim(connection, worker)[:1])

    assert queued(connection) == [ids[1]]
    assert is_sound(connection)


def test_a_retry_that_lets_go_passes_its_limits_anew(connection: AnyConnection) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (1, None, None)})
    worker = add_worker(connection)
    first, second = add_jobs(connection, 2)
    (row,) = claim(connection, worker)

    retry(connection, worker, row)  # the limit of its queue alone is nothing to keep

    assert queued(connection) == [second]
    (row,) = claim(connection, worker)
    complete(connection, worker, [row])
    assert queued(connection) == [first]
    assert is_sound(connection)


def test_a_cancelled_job_in_each_place_makes_room(connection: AnyConnection) -> None:
    ids = add(connection, *[limited("@key shop", 1, None, None) for _ in range(4)])

    jobs.cancel_jobs(connection, [ids[1]])  # in the line
    jobs.cancel_jobs(connection, [ids[0]])  # the one that was let in

    assert queued(connection) == [ids[2]]
    assert is_sound(connection)


def test_a_new_limit_of_a_queue_counts_what_runs_and_lines_up_what_waits(
    connection: AnyConnection,
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    ids = add_jobs(connection, 4)
    other = add_jobs(connection, 1, queue="other")[0]
    rows = claim(connection, worker, 1)

    declare_limits(connection, host, {"@queue default": (2, None, None)})
    dispatch(connection)

    assert queued(connection) == [ids[1], other]
    assert places(connection, ids[2]) == ["blocked"]
    complete(connection, worker, rows)
    assert queued(connection) == [ids[1], ids[2], other]
    assert is_sound(connection)


def test_a_new_limit_stands_before_jobs_that_wait_for_a_resource(
    connection: AnyConnection,
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    needy = [NewJob(task="shop.sync", args="[]", res=("a",), need=(1,)) for _ in range(3)]
    holder = add(
        connection, NewJob(task="shop.sync", args="[]", queue="x", res=("a",), need=(EXCLUSIVE,))
    )
    ids = add(connection, *needy)
    rows = claim(connection, worker, 1, ("x", 25, 0))
    assert ids_of(rows) == holder

    declare_limits(connection, host, {"@queue default": (1, None, None)})
    dispatch(connection)
    complete(connection, worker, rows)

    assert queued(connection) == ids[:1]
    assert is_sound(connection)


def test_no_share_waits_for_ever_while_others_keep_coming(connection: AnyConnection) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (1, None, None)})
    worker = add_worker(connection)
    big = set(add(connection, *[fair("big") for _ in range(20)]))
    add(connection, fair("b"), fair("c"))

    began = []
    for _ in range(60):
        rows = claim(connection, worker)
        began += ids_of(rows)
        if big.isdisjoint(ids_of(rows)):
            add(connection, fair(rows[0][10]["fair"]))
        complete(connection, worker, rows)

    assert len(big & set(began)) >= 18


def test_what_the_dispatcher_could_not_store_is_refused_at_the_enqueue(
    connection: AnyConnection,
) -> None:
    for bad in (
        NewJob(task="shop.sync", args="[]", res=("x" * 400,), need=(1,)),
        NewJob(task="shop.sync", args="[]", res=("@queue default",), need=(1,)),
        fair("x" * 400),
        limited("@key x", 0.5, None, None),
        limited("@key x", 1, 0, None),
        limited("@key x", 1, 1.0, 0),
    ):
        with pytest.raises(psycopg.Error, match="none that could be stored"):
            add_graph(connection, bad)
    (job,) = add(connection, limited("@key x", None, 1e-8, 1_000_000))
    assert queued(connection) == [job]


def test_a_new_limit_lets_a_job_keep_the_resources_that_it_holds(connection: AnyConnection) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    first, second = add_graph(
        connection,
        *[NewJob(task="shop.sync", args="[]", res=(f"r{i}",), need=(EXCLUSIVE,)) for i in range(2)],
    )

    declare_limits(connection, host, {"@queue default": (1, None, None)})
    dispatch(connection)

    assert queued(connection) == [first]
    assert places(connection, second) == ["blocked"]
    assert is_sound(connection)
    complete(connection, worker, claim(connection, worker))
    assert queued(connection) == [second]


def test_a_limit_that_no_host_wants_any_more_lets_all_in(connection: AnyConnection) -> None:
    host = add_host(connection)
    declare_limits(connection, host, {"@queue default": (1, None, None)})
    ids = add_jobs(connection, 30)
    assert queued(connection) == ids[:1]

    declare_limits(connection, host, {})
    dispatch(connection)

    assert queued(connection) == ids[:2]  # one by one behind those that have passed it
    assert add_jobs(connection, 1)[0] in queued(connection)


def test_without_an_operators_number_that_of_the_code_counts_again(
    connection: AnyConnection,
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    declare_limits(connection, host, {"@key shop": (2, None, None)})
    ids = add(connection, *[limited("@key shop", 1, None, None) for _ in range(5)])

    declare_limits(connection, host, {})
    dispatch(connection)

    assert queued(connection) == ids[:2]
    first, second = claim(connection, worker)
    complete(connection, worker, [first])
    assert queued(connection) == []
    complete(connection, worker, [second])
    assert queued(connection) == [ids[2]]


def test_without_an_operators_number_the_last_word_of_code_counts(
    connection: AnyConnection,
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    declare_limits(connection, host, {"@key shop": (1, None, None)})
    first = add(connection, limited("@key shop"))
    add(connection, limited("@key shop"))
    add(connection, limited("@key shop", 50, None, None))
    add(connection, *[limited("@key shop", 2, None, None) for _ in range(5)])
    assert [row[0] for row in claim(connection, worker)] == first

    declare_limits(connection, host, {})
    dispatch(connection)

    assert len(queued(connection)) == 1


def test_declaring_a_limit_waits_for_the_dispatcher(
    connection: AnyConnection, connect_again: Callable[[], Connection]
) -> None:
    host = add_host(connection)
    dispatcher = connect_again()
    add_graph(connection, limited("@key shop", 1, None, None), foreign=True)
    dispatcher.execute("BEGIN")
    dispatch(dispatcher)

    declare = partial(declare_limits, connection, host, {"@key other": (1, None, None)})
    with one_that_waits(dispatcher, connection, declare) as waiting:
        dispatcher.execute("COMMIT")
    waiting.result()


@pytest.mark.parametrize(
    "said",
    [
        {"limits": {"@key shop": [None, 1e300, None]}},
        {"limits": {"@key shop": [None, "NaN", None]}},
        {"limits": {"@key shop": [None, "Infinity", None]}},
        {"limits": {"@key " + "s" * 3000: [1, None, None]}},
        {"limits": {"@queue default": [1, None, None]}},
        {"extra": {"limits": {"@key shop": ["many", None, None]}}},
        {"extra": {"limits": 1}},
        {"extra": {"limits_at": "soon"}},
    ],
)
def test_limits_that_would_stop_the_dispatcher_are_refused(
    connection: AnyConnection, said: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.Error, match="none that could be stored"):
        add_graph(connection, replace(limited("@key shop"), **said))


def test_a_job_once_more_brings_no_older_number_back(connection: AnyConnection) -> None:
    worker = add_worker(connection)
    old = add(connection, limited("@key shop", 50, None, None))
    complete(connection, worker, claim(connection, worker))
    add(connection, *[limited("@key shop", 1, None, None) for _ in range(3)])

    again = jobs.requeue_jobs(connection, old)
    dispatch(connection)
    jobs.cancel_jobs(connection, again.values())

    assert len(queued(connection)) == 1


def test_jobs_that_slipped_by_a_limit_and_run_are_counted_at_the_next_look(
    connection: AnyConnection, connect_again: Callable[[], Connection]
) -> None:
    caller = connect_again()
    host = add_host(connection)
    worker = add_worker(connection, host)
    caller.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    caller.execute("SELECT 1 FROM taskd.host")
    declare_limits(connection, host, {"@queue default": (1, None, None)})
    add_jobs(caller, 3, always_notify=True)
    caller.execute("COMMIT")
    slipped = claim(connection, worker)

    assert settle_limits(connection)
    add_jobs(connection, 1)
    dispatch(connection)

    assert (len(slipped), queued(connection)) == (3, [])
    assert is_sound(connection)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_job_ends_in_a_transaction_that_began_before_the_limit_of_its_queue(
    connection: AnyConnection, connect_again: Callable[[], Connection], level: str
) -> None:
    caller = connect_again()
    host = add_host(connection)
    worker = add_worker(connection, host)
    *_, third = add_jobs(connection, 3)
    first, second = claim(connection, worker, 2)
    caller.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    caller.execute("SELECT 1 FROM taskd.host")

    declare_limits(connection, host, {"@queue default": (1, None, None)})
    end = JobEnd(first[0], fence_of(first), 0.1, "s")
    lost = jobs.complete_jobs(caller, worker, [end], is_own=False)
    add_jobs(caller, always_notify=True)
    caller.execute("COMMIT")

    assert lost == []
    dispatch(connection)
    assert (units_held(connection), places(connection, third)) == (1, ["blocked"])
    assert is_sound(connection)
    jobs.complete_succeeded(connection, worker, [second[0]], [fence_of(second)], [0.1])
    assert (units_held(connection), places(connection, third)) == (1, ["queued"])
    assert is_sound(connection)


@pytest.mark.parametrize("way", ["retry", "give back", "rescue"])
def test_a_job_that_ran_before_its_limit_holds_it_when_it_goes_back(
    connection: AnyConnection, way: str
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    add_jobs(connection, 2)
    (row,) = claim(connection, worker, 1)
    declare_limits(connection, host, {"@queue default": (1, None, None)})

    if way == "retry":
        again = JobRetry(row[0], fence_of(row), 0.1, "i", 0.0)
        jobs.retry_jobs(connection, worker, [again])
    elif way == "give back":
        jobs.give_back_jobs(connection, worker, [row[0]], [fence_of(row)])
    else:
        rescue_workers(connection, [worker], "it died", charge=False)

    held = connection.execute("SELECT id, res FROM taskd.queued").fetchall()
    assert held == [(row[0], ["@queue default"])]
    assert is_sound(connection)
    later = add_worker(connection)
    complete(connection, later, claim(connection, later))
    assert len(queued(connection)) == 1


def units_held(connection: AnyConnection) -> int:
    row = connection.execute("SELECT used FROM taskd.resource").fetchone()
    return int(row[0]) if row else 0


def test_what_a_round_leaves_is_told_to_maintenance(
    connection: AnyConnection, connect_again: Callable[[], Connection]
) -> None:
    listener = connect_again()
    listener.execute("LISTEN taskd")
    ids = add_graph(connection, *[NewJob(task="shop.sync", args="[]")] * 1500)
    with connection.transaction():
        for job in ids:
            connection.execute("INSERT INTO taskd.mail (kind, ids) VALUES ('c', %s)", ([job],))

    dispatch_once = "SELECT taskd.dispatch_v1(100, 10, 500)"
    assert connection.execute(dispatch_once).fetchone() == (1000,)

    told = [note.payload for note in listener.notifies(timeout=5, stop_after=1)]
    assert told == ['"mail"']


def test_no_function_that_shuns_scans_is_compiled_for_it(connection: AnyConnection) -> None:
    compiled = """
    SELECT proname FROM pg_proc
    WHERE pronamespace = 'taskd'::regnamespace AND 'enable_seqscan=off' = ANY (proconfig)
      AND NOT 'jit=off' = ANY (proconfig)
    """
    assert connection.execute(compiled).fetchall() == []


def test_a_job_enqueued_by_older_code_brings_no_older_number_back(
    connection: AnyConnection,
) -> None:
    old = add(connection, limited("@key shop", 1, None, None, delay=60.0))
    new = add(connection, *[limited("@key shop", 3, None, None) for _ in range(2)])

    connection.execute("UPDATE taskd.scheduled SET run_at = now() - interval '1 second'")
    jobs.promote_jobs(connection, 10)

    assert queued(connection) == [*new, *old]


def test_of_two_hosts_the_one_that_declared_last_counts(connection: AnyConnection) -> None:
    old, new = add_host(connection), add_host(connection)
    declare_limits(connection, old, {"@queue default": (1, None, None)})
    declare_limits(connection, new, {"@queue default": (3, None, None)})

    ids = add_jobs(connection, 5)

    assert queued(connection) == ids[:3]


def test_a_host_that_was_taken_for_dead_wants_the_same_limits_before_it_declares_them_again(
    connection: AnyConnection,
) -> None:
    life = uuid4()
    old = register_host(connection, life, "here", 1, "0")
    declare_limits(connection, old, {"@queue default": (1, None, None)})
    connection.execute("UPDATE taskd.host SET ended_at = now() WHERE id = %s", (old,))

    register_host(connection, life, "here", 1, "0")
    settle_limits(connection)
    ids = add_jobs(connection, 3)

    assert queued(connection) == ids[:1]


def test_an_operators_number_beats_that_of_the_code(connection: AnyConnection) -> None:
    declare_limits(connection, add_host(connection), {"@key shop": (2, None, None)})

    ids = add(connection, *[limited("@key shop", 5, None, None) for _ in range(5)])

    assert queued(connection) == ids[:2]


def test_a_rate_lets_in_what_it_has_tokens_for_and_says_when_the_next_comes(
    connection: AnyConnection,
) -> None:
    ids = add(connection, *[limited("@key api", None, 0.5, 3) for _ in range(5)])

    assert queued(connection) == ids[:3]
    row = connection.execute(
        "SELECT extract(epoch FROM retry_at - clock_timestamp())::float8 FROM taskd.resource"
    ).fetchone()
    assert row is not None
    assert 1 < row[0] <= 2


def test_a_line_before_a_rate_moves_up_when_its_token_has_come(connection: AnyConnection) -> None:
    worker = add_worker(connection)
    ids = add(connection, *[limited("@key api", None, 0.01, None) for _ in range(3)])
    complete(connection, worker, claim(connection, worker))
    assert queued(connection) == []

    pass_time(connection, 100)
    jobs.promote_jobs(connection, 100)
    assert queued(connection) == [ids[1]]

    pass_time(connection, 99)
    jobs.promote_jobs(connection, 100)
    assert queued(connection) == [
        ids[1]
    ]  # its end is nothing to the rate, and the token is to come


def pass_time(connection: AnyConnection, seconds: float) -> None:
    """As if all that lines have seen had been so much earlier."""
    connection.execute(
        "UPDATE taskd.resource SET empty_at = empty_at - %s * interval '1 second', "
        "retry_at = retry_at - %s * interval '1 second'",
        (seconds, seconds),
    )


def test_tokens_that_nobody_wanted_are_kept_up_to_the_burst(connection: AnyConnection) -> None:
    add(connection, limited("@key api", None, 1.0, 2))
    pass_time(connection, 1000)

    add(connection, *[limited("@key api", None, 1.0, 2) for _ in range(5)])

    assert len(queued(connection)) == 1 + 2


def test_ten_jobs_of_one_share_do_not_wait_for_a_thousand_of_another(
    connection: AnyConnection,
) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (2, None, None)})
    worker = add_worker(connection)
    many = add(connection, *[fair("big") for _ in range(1000)])
    few = add(connection, *[fair("small") for _ in range(10)])

    order = []
    while not set(few) <= set(order):
        rows = claim(connection, worker)
        order += ids_of(rows)
        complete(connection, worker, rows)
        dispatch(connection)

    assert len(order) <= 2 + 2 * len(few) + 2
    assert [job for job in order if job in few] == few
    assert [job for job in order if job not in few] == many[: len(order) - len(few)]
    assert is_sound(connection)


def test_shares_take_turns_also_in_a_queue_without_a_limit(connection: AnyConnection) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    register_worker(connection, host, 2, "io", 1, 1, (), 3)
    register_worker(connection, host, 3, "other", 0, 1, (), 100, ["other"])
    add(connection, *[fair("big") for _ in range(100)])
    few = add(connection, fair("small"), fair("small"))
    assert len(queued(connection)) == 2 * (1 + 3)  # twice as many as the workers of this queue run

    rows = claim(connection, worker, 6)
    complete(connection, worker, rows)

    assert set(few) <= set(queued(connection))
    assert is_sound(connection)


def test_a_worker_that_comes_finds_as_many_let_in_as_it_can_run(connection: AnyConnection) -> None:
    host = add_host(connection)
    add(connection, *[fair("big") for _ in range(20)])
    assert len(queued(connection)) == 2

    register_worker(connection, host, 1, "other", 0, 1, (), 100, ["other"])
    assert len(queued(connection)) == 2
    register_worker(connection, host, 2, "io", 0, 1, (), 5, ["default"])

    assert len(queued(connection)) == 2 * 5
    assert is_sound(connection)


def test_a_share_whose_jobs_were_cancelled_starts_afresh(connection: AnyConnection) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (1, None, None)})
    worker = add_worker(connection)
    gone = add(connection, *[fair("big") for _ in range(50)])
    waiting = add(connection, *[fair("other") for _ in range(5)])
    jobs.cancel_jobs(connection, gone[1:])

    again = add(connection, fair("big"))[0]

    order = []
    while again not in order:
        rows = claim(connection, worker)
        order += ids_of(rows)
        complete(connection, worker, rows)
    assert order == [gone[0], waiting[0], waiting[1], again]


def test_a_line_of_shares_is_read_from_behind_the_last_that_was_let_in(
    connection: AnyConnection,
) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (1, 1000.0, 1000)})
    worker = add_worker(connection)
    add(connection, *[fair(share) for share in "aabbaabb"])
    line = connection.execute("SELECT turn, place FROM taskd.line ORDER BY 1, 2").fetchall()

    hints = []
    for _ in line:
        complete(connection, worker, claim(connection, worker))
        hints += connection.execute("SELECT turn, place FROM taskd.resource").fetchall()

    assert hints == line  # with a rate, each grant writes it down


def test_a_moved_job_passes_the_limit_of_its_new_queue_instead(connection: AnyConnection) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    declare_limits(
        connection, host, {"@queue default": (1, None, None), "@queue other": (2, None, None)}
    )
    exclusive = NewJob(task="shop.sync", args="[]", res=("a",), need=(EXCLUSIVE,))
    ids = add(connection, exclusive) + add_jobs(connection, 3) + add_jobs(connection, 1, queue="x")
    assert queued(connection) == [ids[0], ids[4]]

    assert jobs.move_jobs(connection, ids, "other") == 5
    dispatch(connection)

    assert len(queued(connection)) == 2  # one that waited in the line, and the holder of a
    assert is_sound(connection)
    order = []
    while rows := claim(connection, worker, 9, ("other", 25, 0)):
        assert len(rows) <= 2
        order += ids_of(rows)
        complete(connection, worker, rows)
    assert sorted(order) == sorted(ids)
    assert is_sound(connection)


def test_a_job_moved_to_a_queue_without_a_limit_passes_none(connection: AnyConnection) -> None:
    declare_limits(connection, add_host(connection), {"@queue default": (1, None, None)})
    ids = add_jobs(connection, 3)

    assert jobs.move_jobs(connection, ids, "free") == 3
    dispatch(connection)

    assert sorted(queued(connection)) == ids
    assert is_sound(connection)


def test_in_a_pause_a_job_keeps_its_resources_and_no_place_of_its_queue(
    connection: AnyConnection,
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    declare_limits(connection, host, {"@queue default": (1, None, None)})
    exclusive = NewJob(task="shop.sync", args="[]", res=("a",), need=(EXCLUSIVE,))
    (job,) = add(connection, exclusive)
    retry(connection, worker, claim(connection, worker)[0], delay=3600)

    other = add_jobs(connection, 1)[0]
    rows = connection.execute("SELECT name, used FROM taskd.resource ORDER BY name").fetchall()
    assert rows == [("@queue default", 1), ("a", EXCLUSIVE)]
    assert queued(connection) == [other]
    assert is_sound(connection)

    connection.execute("UPDATE taskd.scheduled SET run_at = now() - interval '1 second'")
    jobs.promote_jobs(connection, 10)
    assert queued(connection) == [other]
    assert is_sound(connection)
    complete(connection, worker, claim(connection, worker))
    assert queued(connection) == [job]
    assert is_sound(connection)


def test_what_nobody_holds_or_wants_is_forgotten(connection: AnyConnection) -> None:
    worker = add_worker(connection)
    add(connection, limited("@key shop", 2, None, None), limited("@key held", 2, None, None))
    complete(connection, worker, claim(connection, worker, 1))

    assert prune_resources(connection) == 1

    rows = connection.execute("SELECT name FROM taskd.capacity").fetchall()
    assert [row[0] for row in rows] == ["@key held"]


def test_a_host_taken_for_dead_that_declares_and_a_prune_do_not_wait_for_each_other(
    connection: AnyConnection, connect_again: Callable[[], Connection]
) -> None:
    declarer, watcher = connect_again(), connect_again()
    wait_for_nobody(connection)
    alive, dead = add_host(connection), add_host(connection)
    declare_limits(connection, dead, {"@queue mail": (1, None, None)})
    connection.execute("UPDATE taskd.host SET ended_at = now() WHERE id = %s", (dead,))
    settle_limits(connection)
    come = "INSERT INTO taskd.limit_wish (host, name, units) VALUES (%s, '@queue default', 1)"
    connection.execute(come, (alive,))  # so there is something to settle
    add_graph(connection, limited("@key shop", 1, None, None), foreign=True)

    declare = partial(declare_limits, declarer, dead, {"@queue mail": (2, None, None)})
    connection.execute("BEGIN")
    dispatch(connection)
    with one_that_waits(watcher, declarer, declare) as waiting:
        connection.execute("SELECT taskd.prune_resources_v1()")  # has the dispatcher's lock
        connection.execute("COMMIT")
        waiting.result()


@pytest.mark.parametrize("is_held", [False, True])
def test_nothing_is_left_of_a_withdrawn_limit_that_nobody_holds(
    connection: AnyConnection, is_held: bool
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    declare_limits(connection, host, {"@queue default": (1, 100.0, 5)})
    add_jobs(connection, 1)
    rows = claim(connection, worker)
    if not is_held:
        complete(connection, worker, rows)

    declare_limits(connection, host, {})
    stands = listed(connection)
    if is_held:
        complete(connection, worker, rows)

    assert stands == ([("@queue default", 1, None)] if is_held else [])
    assert listed(connection) == []
    prune_resources(connection)
    assert connection.execute("SELECT name FROM taskd.resource").fetchall() == []


def test_a_rate_that_is_withdrawn_and_comes_back_is_not_full_again(
    connection: AnyConnection,
) -> None:
    host = add_host(connection)
    slow = {"@queue default": (None, 0.001, 2)}
    declare_limits(connection, host, slow)
    spent = add_jobs(connection, 2)

    declare_limits(connection, host, {})
    declare_limits(connection, host, slow)
    add_jobs(connection, 2)

    assert queued(connection) == spent


def test_no_token_is_waited_for_once_a_rate_is_withdrawn(connection: AnyConnection) -> None:
    host = add_host(connection)
    name = "@queue default"
    declare_limits(connection, host, {name: (1, 0.001, None)})
    add_jobs(connection, 2)
    (before,) = list_resources(connection, [name], 10, 0)

    declare_limits(connection, host, {name: (1, None, None)})

    (row,) = list_resources(connection, [name], 10, 0)
    assert before.retry_at is not None
    assert (row.used, row.waiting, row.retry_at) == (1, 1, None)


def listed(connection: AnyConnection) -> list[tuple[str, int, int | None]]:
    rows = list_resources(connection, ["@queue default"], 10, 0)
    assert rows == list_resources(connection, None, 10, 0)
    return [(row.name, row.used, row.units) for row in rows]
