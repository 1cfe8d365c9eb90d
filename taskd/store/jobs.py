"""The life of a job: enqueue, claim, end, retry, give back, promote, cancel, requeue."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import Any, LiteralString

import psycopg

from taskd.config.versions import read_part
from taskd.errors import ClaimUnreadable
from taskd.store.hand_off import HandOff, handing_off
from taskd.store.literals import (
    boolean_array,
    integer_array,
    number_array,
    read_integers,
    seconds_array,
    text_array,
)
from taskd.store.prepared import Prepared
from taskd.store.rows import JobEnd, JobRetry, NewJobs, Promoted, Requeued, WaitingLane

Row = list[Any]
AnyConnection = psycopg.Connection[Any]


class Claimed(list[Row]):
    """Jobs that were claimed; `is_cut`: there may be more, but these are many bytes already."""

    is_cut = False


# Who may not touch the tables calls what runs with the rights of their owner: see 18_own_jobs.sql.
_ENQUEUE = Prepared(
    "enqueue_jobs",
    """
SELECT (CASE WHEN has_table_privilege('taskd.queued', 'INSERT')
            THEN taskd.enqueue_jobs_v1(
                $1::text, $2::text[], $3::text[], $4::text, $5::smallint, $6::float8,
                $7::timestamptz, $8::smallint, $9::real, $10::boolean, $11::jsonb, $12::jsonb)
            ELSE taskd.enqueue_own_jobs_v1(
                $1::text, $2::text[], $3::text[], $4::text, $5::smallint, $6::float8,
                $7::timestamptz, $8::smallint, $9::real, $10::boolean, $11::jsonb, $12::jsonb)
        END)::text
""",
)
_CLAIM = Prepared(
    "claim_jobs",
    "SELECT taskd.claim_jobs_v1("
    "$1::bigint, $2::text[], $3::smallint[], $4::bigint[], $5::integer, $6::integer[], "
    "$7::integer)",
)
_RECOVER = "SELECT taskd.recover_claims_v1(%s, %s, %s::bigint[])"
_UNREAD = """
SELECT id, queue, fence, attempt, max_attempts, timeout, task, args, kwargs, extra
FROM taskd.unread_jobs_v1(%s, %s::bigint[])
"""
_SUCCEED: LiteralString = """
taskd.complete_succeeded_v1(
    $1::bigint, $2::bigint[], $3::bigint[], $4::real[], $5::bigint[])::text
"""
_SUCCEEDED = Prepared("complete_succeeded", f"SELECT {_SUCCEED}")
_SUCCEEDED_HANDING_OFF = handing_off("hand_off_succeeded", _SUCCEED, 5)
_END: LiteralString = """
taskd.complete_jobs_v1(
    $1::bigint, $2::bigint[], $3::bigint[], $4::real[], $5::"char"[], $6::text[], $7::text[],
    $8::text[], $9::boolean, $10::bigint[], $11::bigint[])::text
"""
_ENDED = Prepared("complete_jobs", f"SELECT {_END}")
_ENDED_HANDING_OFF = handing_off("hand_off_jobs", _END, 11)
_RETRY = """
SELECT taskd.retry_jobs_v1(%s, %s::bigint[], %s::bigint[], %s::real[], %s::"char"[],
                           %s::float8[], %s::text[], %s::text[], %s::boolean[], %s::bigint[],
                           %s::bigint[])
"""
_GIVE_BACK = "SELECT taskd.give_back_jobs_v1(%s, %s::bigint[], %s::bigint[])"
_PROMOTE = "SELECT promoted, lanes FROM taskd.promote_jobs_v1(%s)"
_CANCEL = "SELECT id, outcome FROM taskd.cancel_jobs_v1(%s::bigint[])"
_REQUEUE = "SELECT old_id, new_id, before FROM taskd.requeue_jobs_v1(%s::bigint[], %s)"
_MOVE = "SELECT taskd.move_jobs_v1(%s::bigint[], %s)"
_WAITING = """
SELECT queue, lane, seq FROM taskd.waiting_lanes_v1(%s::text[], %s::smallint[], %s::bigint[])
"""
_ALL_LANES = "SELECT queue, lane, seq FROM taskd.all_lanes_v1()"


def enqueue_jobs(connection: AnyConnection, new: NewJobs) -> list[int]:
    """Store new jobs in one round trip; their ids, in the order of the arguments.

    Within a transaction of the connection's owner they commit or vanish with it. -id instead: the
    job of that id held the unique key already, and no new one was made.
    """
    return _read_ids(_ENQUEUE.value(connection, _parameters(new)))


def enqueue_parts(connection: AnyConnection, parts: Iterable[NewJobs]) -> Generator[list[int]]:
    """Store new jobs within a transaction, a round trip a part; the ids of each, as above.

    A part is asked for, and the ids of the one before are read, while the server stores another.
    Whoever does not read on closes it, and so waits for that.
    """
    with closing(_ENQUEUE.values(connection, map(_parameters, parts))) as found:
        for one in found:
            yield _read_ids(one)


def _parameters(new: NewJobs) -> Sequence[str | None]:
    return (
        new.task,
        text_array(new.args),
        text_array(new.kwargs),
        new.queue,
        str(new.priority),
        _as_text(new.delay),
        None if new.run_at is None else new.run_at.isoformat(),
        str(new.max_attempts),
        _as_text(new.timeout),
        "t" if new.always_notify else "f",
        new.extra,
        new.unique,
    )


def _read_ids(found: str | None) -> list[int]:
    return read_integers(found) if found else []


def _as_text(number: float | None) -> str | None:
    return None if number is None else str(number)


def claim_jobs(
    connection: AnyConnection,
    worker: int,
    lanes: tuple[str, str, str],
    count: int,
    ends: str | None = None,
    *,
    recoveries: int = 0,
) -> Claimed | None:
    """Claim at most `count` jobs from the lanes, in their order; oldest first in each.

    `lanes` are three array literals of one length: queues, lane numbers, low-water marks; `ends`
    another one: how many jobs may have been taken after each lane (None: `count`). `recoveries` is
    how often `recover_claims` was called for this worker.
    A row is [id, seq, index of its lane, fence, attempt, max_attempts, timeout, task, args,
    kwargs, extra].
    None: this worker is not among the living any more; it must register again. Raises
    ClaimUnreadable when the jobs are claimed, but what one of them holds cannot be decoded: then
    `unread_jobs` gives them one by one.
    """
    parameters = (str(worker), *lanes, str(count), ends, str(recoveries))
    return decode_claimed(_CLAIM.value(connection, parameters))


def decode_claimed(found: str | None) -> Claimed | None:
    """What a claim has answered, as `claim_jobs` returns it; raises ClaimUnreadable."""
    if found is None:
        return None
    try:
        rows = Claimed(json.loads(found) if found else [])
    except (ValueError, RecursionError) as error:
        raise ClaimUnreadable(str(error)) from error
    if rows and rows[-1] is None:
        rows.is_cut = True
        rows.pop()
    return rows


def unread_jobs(
    connection: AnyConnection, worker: int, fences: Sequence[int]
) -> tuple[list[Row], dict[tuple[int, int], str]]:
    """What a worker has claimed without knowing it, as `claim_jobs` gives it, and what is bad.

    `fences` are those of all the jobs that it knows of. In a row there is no seq, and its queue
    stands where claim_jobs has the index of its lane. Of what cannot be decoded, id and fence, and
    why.
    """
    rows: list[Row] = []
    bad: dict[tuple[int, int], str] = {}
    found = connection.execute(_UNREAD, (worker, integer_array(fences))).fetchall()
    for job, queue, fence, attempt, max_attempts, timeout, task, *texts in found:
        try:
            args, kwargs, extra = (None if text is None else json.loads(text) for text in texts)
        except (ValueError, RecursionError) as error:
            bad[job, fence] = f"{type(error).__name__}: {error}"
        else:
            row = [job, None, read_part(queue).queue, fence, attempt, max_attempts, timeout, task]
            rows.append([*row, args, kwargs, extra])
    return rows, bad


def recover_claims(
    connection: AnyConnection, worker: int, recoveries: int, fences: Sequence[int]
) -> int:
    """Give back what a worker holds without knowing it, after a claim that failed on its way.

    `fences` are those of all the jobs that it knows of, `recoveries` how often this was called for
    it so far, with this time. Waits for a claim that is under way. How many jobs went back.
    """
    row = connection.execute(_RECOVER, (worker, recoveries, integer_array(fences))).fetchone()
    return int(row[0]) if row else 0


def complete_succeeded(
    connection: AnyConnection,
    worker: int,
    ids: Sequence[int],
    fences: Sequence[int],
    durations: Sequence[float],
    cpus: Sequence[int | None] | None = None,
    hand_off: HandOff | None = None,
) -> list[int]:
    """End jobs that succeeded without a result; the ids that were lost.

    durations in seconds, cpus in microseconds of the processor's time; None: not known, of any.
    With `hand_off`, claim what it says in the same transaction.
    """
    used = None if cpus is None else number_array(cpus)
    parameters = (
        str(worker),
        integer_array(ids),
        integer_array(fences),
        seconds_array(durations),
        used,
    )
    if hand_off is None:
        return _read_lost(_SUCCEEDED.value(connection, parameters))
    return _read_lost(hand_off.execute(connection, _SUCCEEDED_HANDING_OFF, parameters))


def complete_jobs(
    connection: AnyConnection,
    worker: int,
    ends: Sequence[JobEnd],
    is_own: bool = True,
    hand_off: HandOff | None = None,
) -> list[int]:
    """End jobs for good, each in its own way. The ids that were lost.

    `is_own` False: in a transaction that others have begun, and will end when they like. With
    `hand_off`, claim what it says in the same transaction.
    """
    ids, fences, durations, states, results, errors, tracebacks, cpus, memories = zip(
        *ends, strict=True
    )
    parameters = (
        str(worker),
        integer_array(ids),
        integer_array(fences),
        number_array(durations),
        text_array(states),
        text_array(results),
        text_array(errors),
        text_array(tracebacks),
        "t" if is_own else "f",
        number_array(cpus),
        number_array(memories),
    )
    if hand_off is None:
        return _read_lost(_ENDED.value(connection, parameters))
    return _read_lost(hand_off.execute(connection, _ENDED_HANDING_OFF, parameters))


def _read_lost(literal: str | None) -> list[int]:
    return read_integers(literal) if literal else []


def retry_jobs(connection: AnyConnection, worker: int, retries: Sequence[JobRetry]) -> list[int]:
    """End attempts whose jobs go on: after their delay, or at once. The ids that were lost."""
    ids, fences, durations, outcomes, delays, errors, tracebacks, releases, cpus, memories = zip(
        *retries, strict=True
    )
    row = connection.execute(
        _RETRY,
        (
            worker,
            integer_array(ids),
            integer_array(fences),
            number_array(durations),
            text_array(outcomes),
            number_array(delays),
            text_array(errors),
            text_array(tracebacks),
            boolean_array(releases),
            number_array(cpus),
            number_array(memories),
        ),
    ).fetchone()
    return _lost(row)


def _lost(row: tuple[Any, ...] | None) -> list[int]:
    return list(row[0]) if row and row[0] else []


def give_back_jobs(
    connection: AnyConnection, worker: int, ids: Sequence[int], fences: Sequence[int]
) -> int:
    """Return claimed jobs that never started to the front of their queues; how many it were."""
    row = connection.execute(
        _GIVE_BACK, (worker, integer_array(ids), integer_array(fences))
    ).fetchone()
    return int(row[0]) if row else 0


def promote_jobs(connection: AnyConnection, count: int) -> Promoted:
    """Move at most `count` scheduled jobs that are due into their queues, earliest first."""
    row = connection.execute(_PROMOTE, (count,)).fetchone()
    promoted, lanes = row if row else (0, None)
    return Promoted(promoted, [tuple(lane) for lane in json.loads(lanes or "[]")])


def cancel_jobs(connection: AnyConnection, ids: Sequence[int]) -> dict[int, str]:
    """Cancel jobs; for each id "cancelled", "cancelling" (it runs), "ended" or "unknown"."""
    return dict(connection.execute(_CANCEL, (integer_array(ids),)).fetchall())


def requeue_jobs(connection: AnyConnection, ids: Sequence[int]) -> dict[int, int]:
    """Enqueue jobs that have ended once more; the new id of each that was found ended."""
    return {job: again.new_id for job, again in requeue_again(connection, ids).items()}


def requeue_once(connection: AnyConnection, ids: Sequence[int]) -> int:
    """Enqueue those that have ended, and were not requeued before, once more; how many."""
    return len(connection.execute(_REQUEUE, (integer_array(ids), True)).fetchall())


def requeue_again(connection: AnyConnection, ids: Sequence[int]) -> dict[int, Requeued]:
    """As `requeue_jobs`, with what each was requeued as before."""
    rows = connection.execute(_REQUEUE, (integer_array(ids), False)).fetchall()
    return {job: Requeued(new_id, before) for job, new_id, before in rows}


def move_jobs(connection: AnyConnection, ids: Sequence[int], queue: str) -> int:
    """Let waiting jobs wait in another queue; how many moved. What runs or has ended stays."""
    row = connection.execute(_MOVE, (integer_array(ids), queue)).fetchone()
    return int(row[0]) if row else 0


def waiting_lanes(
    connection: AnyConnection, queues: Sequence[str], lanes: Sequence[int], marks: Sequence[int]
) -> list[WaitingLane]:
    """Which of these lanes hold a job above their mark."""
    rows = connection.execute(
        _WAITING, (text_array(queues), integer_array(lanes), integer_array(marks))
    ).fetchall()
    return [WaitingLane(*row) for row in rows]


def all_lanes(connection: AnyConnection) -> list[WaitingLane]:
    """Every lane that holds a job; reads from the front of each, so limit its rate."""
    return [WaitingLane(*row) for row in connection.execute(_ALL_LANES).fetchall()]
