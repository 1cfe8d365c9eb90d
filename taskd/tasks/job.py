"""The handle on an enqueued job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from taskd.clock import monotonic
from taskd.errors import (
    DatabaseRefused,
    JobFailed,
    JobWasCancelled,
    OptionInvalid,
    ResultExpired,
    ResultNotReady,
)
from taskd.store.log_rows import LogFilter, LogLine, Progress
from taskd.store.rows import JobRow, State
from taskd.tasks.client import default_client
from taskd.tasks.log_reader import LogReader, make_filter, read_page

if TYPE_CHECKING:
    from taskd.tasks.reasons import Reason
    from taskd.tasks.stacks import Stack

R = TypeVar("R")

LEAST_TOO_LARGE = 2**63
"""What PostgreSQL's bigint cannot hold."""

FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.1
"""What ends soon is looked for; what takes longer is waited for, which takes a connection."""
_PAUSE_GROWTH = 1.5

_NOT_SHOWN = (
    "job {} has {}, and this user of the database may not see more: who is to read results and "
    "errors needs GRANT taskd_reader"
)


class Job(Generic[R]):
    """A job by its id. Each look at it is one round trip, until it has ended: final is final.

    Raises JobUnknown from every look if the database has no such job (yet).
    """

    __slots__ = ("_last", "id", "is_new")

    def __init__(self, id: int, is_new: bool = True) -> None:  # noqa: A002 - the field's public name
        if type(id) is not int or not 0 < id < LEAST_TOO_LARGE:
            raise OptionInvalid("id", id, "is no id of a job: give the whole number of one")
        self.id = id
        self.is_new = is_new
        """False if the enqueue found another job with its unique key, which this is."""
        self._last: JobRow | None = None

    def refresh(self) -> JobRow:
        """Look at the job now; all that the database knows of it."""
        if self._last is None or not self._last.state.is_final:
            self._last = default_client().fetch(self.id)
        return self._last

    @property
    def state(self) -> State:
        """Where the job is now; compares equal to plain text: `job.state == "queued"`."""
        return self.refresh().state

    @property
    def attempt(self) -> int:
        """How many attempts have been begun; 0 before the first."""
        return self.refresh().attempt

    @property
    def error(self) -> str | None:
        """Why the job failed or was cancelled, in one sentence; None if it did not."""
        return self.refresh().error

    def cancel(self) -> str:
        """Cancel the job; "cancelled", "cancelling" (it runs), "ended" (too late) or "unknown"."""
        return default_client().cancel([self.id])[self.id]

    def requeue(self) -> Job[R] | None:
        """Enqueue the job once more, now that it has ended: the new one, or None if it has not."""
        new = default_client().requeue([self.id]).get(self.id)
        return None if new is None else Job(new)

    def why(self) -> list[Reason]:
        """Why the job waits now: every reason that holds, with ids; `str(reason)` is its sentence.

        One reason that says so if it runs or has ended. Raises JobUnknown.
        """
        from taskd.tasks.why import find_reasons

        with default_client().connection() as connection:
            found = find_reasons(connection, self.id)
        if found is None:
            self.refresh()
        return found or []

    def stacks(self) -> tuple[Stack, ...]:
        """Where the job stands now: its stack, and those of greenlets it has spawned.

        Empty if it does not run, or its worker does not answer within two seconds. Blocks,
        usually some hundredths of a second. Raises JobUnknown.
        """
        from taskd.tasks.stacks import stacks_of_job

        with default_client().connection() as connection:
            found = stacks_of_job(connection, self.id)
        if found is None:
            self.refresh()
        return () if found is None else found.stacks

    @property
    def progress(self) -> Progress | None:
        """How far the job is, as it last said; once it has ended, how far it was. None: no word."""
        from taskd.store.logs import fetch_progress

        with default_client().connection() as connection:
            found = fetch_progress(connection, [self.id]).get(self.id)
        if found is None:
            self.refresh()
        return found

    def logs(
        self, *, attempt: int | None = None, level: str = "debug", follow: bool = False
    ) -> Iterator[LogLine]:
        """What the job has logged, first to last: of all attempts or one, from a level on.

        With `follow` it goes on, and waits, until the job has ended. Raises OptionInvalid.
        """
        reader = LogReader(_read_page, make_filter(self.id, attempt, level))
        self.refresh()
        return reader.follow(self._has_ended) if follow else reader.lines()

    def _has_ended(self) -> bool:
        from taskd.store.look import fetch_state

        with default_client().connection() as connection:
            state = fetch_state(connection, self.id)
        return (state or self.state).is_final

    def result(self, timeout: float | None = None) -> R:
        """Wait for the job's end, at most `timeout` seconds; what the function returned.

        As JSON has it: tuples come back as lists. Blocks; with a timeout of 0 it only looks.
        Raises JobFailed with the worker's traceback, JobWasCancelled, ResultExpired, and
        ResultNotReady (a TimeoutError) when the time is over; the job goes on then.
        DatabaseRefused if this user may enqueue and see states, but no results.
        """
        row = self._wait(timeout)
        if row.states_only and (row.has_result or row.state is not State.SUCCEEDED):
            raise DatabaseRefused(_NOT_SHOWN.format(self.id, row.state))
        match row.state:
            case State.SUCCEEDED if row.has_result and row.result is None:
                raise ResultExpired(self.id, row.task)
            case State.SUCCEEDED:
                return cast(R, row.result)
            case State.CANCELLED:
                raise JobWasCancelled(self.id, row.task, row.error)
            case _:
                raise JobFailed(self.id, row.task, row.error or "no reason given", row.traceback)

    def _wait(self, timeout: float | None) -> JobRow:
        if timeout is not None and not timeout >= 0:
            raise OptionInvalid("timeout", timeout, "is not a number of seconds from 0 on")
        deadline = None if timeout is None else monotonic() + timeout
        pause = FIRST_PAUSE
        while not (row := self.refresh()).state.is_final:
            left = pause if deadline is None else deadline - monotonic()
            if left <= 0:
                raise ResultNotReady(self.id, row.state, timeout or 0.0)
            if pause < LONGEST_PAUSE:
                time.sleep(min(pause, left))
                pause *= _PAUSE_GROWTH
            else:
                default_client().wait_for_end(self.id, inf if deadline is None else left)
        return row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash((Job, self.id))

    def __repr__(self) -> str:
        return f"<job {self.id}{f' {self._last.state}' if self._last else ''}>"


def _read_page(wanted: LogFilter, after: tuple[int, int]) -> list[LogLine]:
    with default_client().connection() as connection:
        return read_page(connection, wanted, after)
