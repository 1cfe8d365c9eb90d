"""`Job.logs` and `Job.progress` as users call them, on a real database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from taskd import Job, configure, enqueue
from taskd.errors import JobUnknown, OptionInvalid
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.log_rows import Line, News
from taskd.store.logs import write_journal
from taskd.store.rows import JobEnd
from tests.store.makers import add_worker, claim, fence_of

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def configured(dsn: str) -> Iterator[None]:
    configure(database=dsn)
    yield
    configure()


class Runs:
    """A job that runs and says things."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.job: Job[Any] = enqueue("shop.sync")
        self.worker = add_worker(connection)
        (row,) = claim(connection, self.worker)
        self.fence = fence_of(row)
        self._seq = 0

    def say(self, *texts: str, progress: tuple[float, str] | None = None) -> None:
        lines = []
        for text in texts:
            self._seq += 1
            lines.append(Line(self._seq, 1.9e9, 20, "shop", text))
        news = News(self.job.id, self.fence, 1, lines, progress)
        assert write_journal(self.connection, self.worker, [news]) == []

    def end(self) -> None:
        end = JobEnd(self.job.id, self.fence, 0.1, "s")
        assert jobs.complete_jobs(self.connection, self.worker, [end]) == []


def test_the_lines_of_a_job_are_read_page_by_page(connection: Connection) -> None:
    runs = Runs(connection)
    runs.say(*map(str, range(2500)))

    lines = list(runs.job.logs())

    assert [line.text for line in lines] == [str(number) for number in range(2500)]
    assert (lines[0].attempt, lines[0].level_name) == (1, "info")


def test_a_log_is_followed_until_the_job_has_ended(connection: Connection) -> None:
    runs = Runs(connection)
    runs.say("a")

    def go_on() -> None:
        runs.say("b")
        runs.say("c")
        runs.end()

    later = threading.Timer(0.2, go_on)
    later.start()
    texts = [line.text for line in runs.job.logs(follow=True)]
    later.join()

    assert texts == ["a", "b", "c"]


def test_a_log_that_is_followed_after_the_end_ends_at_once(connection: Connection) -> None:
    runs = Runs(connection)
    runs.say("a")
    runs.end()

    assert [line.text for line in runs.job.logs(follow=True, level="info")] == ["a"]
    assert list(runs.job.logs(level="error")) == []


def test_progress_is_what_the_job_last_said(connection: Connection) -> None:
    runs = Runs(connection)
    assert runs.job.progress is None

    runs.say(progress=(0.4, "12 of 30"))

    progress = runs.job.progress
    assert progress is not None
    assert (progress.fraction, progress.message) == (0.4, "12 of 30")


def test_an_unknown_job_says_so() -> None:
    with pytest.raises(JobUnknown):
        Job(4711).logs()
    with pytest.raises(JobUnknown):
        _ = Job(4711).progress


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"attempt": 0}, "attempt=0 is not the number of an attempt"),
        ({"attempt": True}, "attempt=True is not the number"),
        ({"attempt": "1"}, "attempt='1' is not the number"),
        ({"level": "loud"}, "level='loud' is not one of debug, info, warning, error, critical"),
    ],
)
def test_what_cannot_be_asked_for_is_told_at_once(
    connection: Connection, options: dict[str, Any], sentence: str
) -> None:
    runs = Runs(connection)

    with pytest.raises(OptionInvalid, match=sentence):
        runs.job.logs(**options)
