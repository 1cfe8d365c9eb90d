from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.rows import NewJobs
from tests.store.graph_makers import add_one
from tests.store.makers import (
    add_host,
    add_jobs,
    add_worker,
    claim,
    fence_of,
    ids_of,
    lanes,
    places,
)
from tests.waiting import eventually


def test_jobs_are_claimed_in_the_order_of_their_enqueue(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = add_jobs(connection, 5)

    first = claim(connection, worker, 2)
    rest = claim(connection, worker, 100)

    assert ids_of(first) + ids_of(rest) == ids


def test_a_claimed_job_is_running_and_nowhere_else(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)

    claim(connection, worker)

    assert places(connection, job) == ["running"]


def test_lanes_are_claimed_in_the_order_given_until_full(connection: Connection) -> None:
    worker = add_worker(connection)
    low = add_jobs(connection, 2, queue="mail", priority=1)
    high = add_jobs(connection, 2, queue="mail", priority=9)

    rows = claim(connection, worker, 3, ("mail", 9, 0), ("mail", 1, 0))

    assert ids_of(rows) == [*high, low[0]]


def test_a_lane_gives_until_its_end_is_reached_and_what_others_left_when_it_comes_again(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    mail = add_jobs(connection, 9, queue="mail")
    sync = add_jobs(connection, 2, queue="sync")
    twice = lanes(("mail", 5, 0), ("none", 5, 0), ("sync", 5, 0), ("mail", 5, 0))

    rows = jobs.claim_jobs(connection, worker, twice, 8, "{3,5,8,8}")

    assert rows is not None
    assert [(row[0], row[2]) for row in rows] == [
        *((job, 0) for job in mail[:3]),
        *((job, 2) for job in sync),
        *((job, 3) for job in mail[3:6]),
    ]


def test_dry_lanes_between_others_are_passed_over(connection: Connection) -> None:
    worker = add_worker(connection)
    mail = add_jobs(connection, 2, queue="mail")
    sync = add_jobs(connection, 3, queue="sync")
    dry = [(f"dry{n}", 5, 0) for n in range(3)]

    rows = claim(connection, worker, 4, *dry, ("mail", 5, 0), dry[0], ("sync", 5, sync[0]), *dry)

    assert [(row[0], row[2]) for row in rows] == [
        *((job, 3) for job in mail),
        *((job, 5) for job in sync[1:]),
    ]


def test_lanes_whose_jobs_another_claims_right_now_are_passed_over(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 2, queue="mail")
    sync = add_jobs(connection, 2, queue="sync")
    order = (("mail", 5, 0), ("none", 5, 0), ("mail", 5, 0), ("sync", 5, 0))

    other = connect_again()
    with other.transaction():
        claim(other, add_worker(other), 100, ("mail", 5, 0))
        rows = claim(connection, worker, 100, *order)

    assert ids_of(rows) == sync


def test_a_lane_whose_end_was_reached_before_it_gives_nothing(connection: Connection) -> None:
    worker = add_worker(connection)
    mail = add_jobs(connection, 2, queue="mail")
    add_jobs(connection, 2, queue="sync")

    rows = jobs.claim_jobs(connection, worker, lanes(("mail", 5, 0), ("sync", 5, 0)), 2, "{2,2}")

    assert rows is not None
    assert ids_of(rows) == mail


def test_what_lies_below_the_mark_is_not_read(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = add_jobs(connection, 3)

    rows = claim(connection, worker, 100, ("default", 5, ids[1]))

    assert ids_of(rows) == [ids[2]]


def test_an_empty_claim_writes_nothing(connection: Connection) -> None:
    worker = add_worker(connection)

    with connection.transaction():
        assert claim(connection, worker) == []
        row = connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()

    assert row == (None,)


def test_every_claim_has_a_new_fence(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    (first,) = claim(connection, worker)
    jobs.give_back_jobs(connection, worker, [job], [fence_of(first)])

    (second,) = claim(connection, worker)

    assert fence_of(second) > fence_of(first)


def test_two_workers_never_claim_the_same_job(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    ids = add_jobs(connection, 2000)
    claimed: list[int] = []

    def drain() -> None:
        own = connect_again()
        worker = add_worker(own)
        while rows := claim(own, worker, 7):
            claimed.extend(ids_of(rows))

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(claimed) == ids


def test_a_worker_that_was_ended_claims_nothing(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    hosts.rescue_workers(connection, [worker], "killed", charge=False)

    assert jobs.claim_jobs(connection, worker, lanes(), 10) is None
    assert places(connection, job) == ["queued"]


def test_a_rescue_waits_for_a_claim_that_is_under_way_and_finds_its_jobs(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    claimer, rescuer = connect_again(), connect_again()
    rescued: list[hosts.Rescued] = []

    with claimer.transaction():
        claim(claimer, worker)
        thread = threading.Thread(
            target=lambda: rescued.append(hosts.rescue_workers(rescuer, [worker], "killed", True))
        )
        thread.start()
        eventually(lambda: is_waiting_for_a_lock(connection, rescuer))
    thread.join()

    assert rescued == [hosts.Rescued(given_back=1, failed=0)]
    assert places(connection, job) == ["queued"]


def is_waiting_for_a_lock(connection: Connection, other: Connection) -> bool:
    row = connection.execute(
        "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
        (other.info.backend_pid,),
    ).fetchone()
    return bool(row and row[0])


def test_a_worker_of_a_dead_host_cannot_register(connection: Connection) -> None:
    host = add_host(connection)
    hosts.rescue_host(connection, host, None, "gone", charge=False)

    assert hosts.register_worker(connection, host, 1, "io", 0, 1) is None


def test_arguments_with_every_kind_of_text_arrive_as_they_were_sent(connection: Connection) -> None:
    worker = add_worker(connection)
    text = '"quotes" \\back {braces}, NULL, \n\t é ☃ \U0001f600 \\u0000'
    import json

    from taskd.store.rows import NewJobs

    arguments, keywords = json.dumps([text, None, [text]]), json.dumps({text: text})
    jobs.enqueue_jobs(connection, NewJobs('odd "name"', [arguments], [keywords]))

    ((*_, task, args, kwargs, _extra),) = claim(connection, worker)

    assert (task, args, kwargs) == ('odd "name"', [text, None, [text]], {text: text})


MEBIBYTE = 1 << 20


def add_large_jobs(connection: Connection, *sizes: int, **options: Any) -> list[int]:
    """Jobs with arguments of so many MiB."""
    arguments = [f'["{"x" * (size * MEBIBYTE)}"]' for size in sizes]
    return jobs.enqueue_jobs(connection, NewJobs("a", arguments, [None] * len(sizes), **options))


def test_a_claim_stops_after_16_mebibytes_and_says_so(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = add_large_jobs(connection, 6, 6, 6, 6, 6)

    first = jobs.claim_jobs(connection, worker, lanes(), 10)
    rest = jobs.claim_jobs(connection, worker, lanes(), 10)

    assert first is not None
    assert rest is not None
    assert (ids_of(first), first.is_cut) == (ids[:3], True)
    assert (ids_of(rest), rest.is_cut) == (ids[3:], False)
    assert places(connection, ids[3]) == ["running"]


def test_a_job_larger_than_that_is_claimed_by_itself(connection: Connection) -> None:
    worker = add_worker(connection)
    small, large, other = add_large_jobs(connection, 1, 40, 1)

    claimed = [ids_of(claim(connection, worker, 10)) for _ in range(3)]

    assert claimed == [[small, large], [other], []]


def test_the_bytes_of_a_claim_are_those_of_all_its_lanes(connection: Connection) -> None:
    worker = add_worker(connection)
    urgent = add_large_jobs(connection, 9, 9, priority=9)
    usual = add_large_jobs(connection, 1, priority=5)

    rows = jobs.claim_jobs(connection, worker, lanes(("default", 9, 0), ("default", 5, 0)), 10)

    assert rows is not None
    assert (ids_of(rows), rows.is_cut) == (urgent, True)
    assert places(connection, usual[0]) == ["queued"]


def test_a_claim_says_which_jobs_hold_resources(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 1)
    add_one(connection, needs={"a": 1}, extra={"group": 7})

    plain, holder = claim(connection, worker)

    assert plain[10] is None
    assert holder[10] == {"group": 7, "holds": True}


def test_waiting_lanes_names_the_lowest_seq_above_each_mark(connection: Connection) -> None:
    ids = add_jobs(connection, 3, queue="a")
    other = add_jobs(connection, 1, queue="b", priority=7)

    found = jobs.waiting_lanes(connection, ["a", "b", "c"], [5, 7, 5], [ids[0], 0, 0])

    assert sorted(found) == [("a", 5, ids[1]), ("b", 7, other[0])]


def test_all_lanes_finds_every_lane_with_its_first_job(connection: Connection) -> None:
    first = {}
    for queue in ("a", "b", "ä"):
        for priority in (0, 5, 9):
            first[queue, priority] = add_jobs(connection, 2, queue=queue, priority=priority)[0]

    found = jobs.all_lanes(connection)

    assert {(lane.queue, lane.lane): lane.seq for lane in found} == first
