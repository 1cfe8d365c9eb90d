"""What running jobs say: their log lines and their progress, written and read."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from taskd.store.literals import integer_array, number_array, text_array
from taskd.store.log_rows import LogFilter, LogLine, News, Progress

AnyConnection = psycopg.Connection[Any]
LogPosition = tuple[int, int]
"""Of a line in a job's log: its fence and seq."""

_WRITE = """
SELECT taskd.write_journal_v1(
    %s, %s::bigint[], %s::bigint[], %s::smallint[], %s::float8[], %s::text[], %s::integer[],
    %s::integer[], %s::integer[], %s::float8[], %s::smallint[], %s::text[], %s::text[], %s)
"""
_PROGRESS = "SELECT job, fraction, message, updated_at FROM taskd.progress_v1(%s::bigint[])"

START: LogPosition = (0, 0)


def write_journal(
    connection: AnyConnection, worker: int, news: Sequence[News], *, again: bool = False
) -> list[int]:
    """Store what attempts have said; the fences of those that are not the worker's any more.

    Texts must be free of NUL characters and surrogates. `again`: an earlier call with the same
    lines may have arrived; what is stored already is skipped.
    """
    lines = [(i, line) for i, one in enumerate(news, 1) for line in one.lines]
    row = connection.execute(
        _WRITE,
        (
            worker,
            integer_array([one.job for one in news]),
            integer_array([one.fence for one in news]),
            integer_array([one.attempt for one in news]),
            number_array([one.progress and one.progress[0] for one in news]),
            text_array([one.progress and one.progress[1] for one in news]),
            number_array([one.end for one in news]),
            integer_array([i for i, _ in lines]),
            integer_array([line.seq for _, line in lines]),
            number_array([line.at for _, line in lines]),
            integer_array([line.level for _, line in lines]),
            text_array([line.logger for _, line in lines]),
            text_array([line.text for _, line in lines]),
            again,
        ),
    ).fetchone()
    return list(row[0]) if row and row[0] else []


def read_log(
    connection: AnyConnection, wanted: LogFilter, after: LogPosition = START, limit: int = 1000
) -> list[LogLine]:
    """The lines of a job's log behind a position, at most `limit`, first to last."""
    parameters = {
        "job": wanted.job,
        "attempt": wanted.attempt,
        "level": wanted.level,
        "fence": after[0],
        "seq": after[1],
        "limit": limit,
    }
    with connection.cursor(row_factory=class_row(LogLine)) as cursor:
        return cursor.execute(_statement("read_log.sql"), parameters).fetchall()


def fetch_progress(connection: AnyConnection, jobs: Sequence[int]) -> dict[int, Progress]:
    """How far jobs are, or were when their last attempt ended; only those that have ever said."""
    rows = connection.execute(_PROGRESS, (integer_array(jobs),)).fetchall()
    return {
        job: Progress(fraction=fraction, message=message, updated_at=at)
        for job, fraction, message, at in rows
    }


def _statement(name: str) -> LiteralString:
    return files("taskd.store").joinpath("sql", name).read_text(encoding="utf-8")
