"""From a call of `logging` to a line in the log of the job whose code made it."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Iterator
from contextvars import copy_context

import pytest

from taskd.config.sections import JobLogLevel, LogSettings
from taskd.events import Events
from taskd.pool import job_handler
from taskd.pool.journal import Journal
from taskd.store.log_rows import Line
from taskd.tasks.context import JobAttempt, running_attempt

LOG = logging.getLogger("shop.tasks")


class Desk:
    """A worker's journal, the handler before it, and one attempt at a time."""

    def __init__(self, settings: LogSettings) -> None:
        self.journal = Journal("io/0", settings.job_bytes, Events())
        self.other: JobAttempt | None = None
        self.handler = job_handler.install(self.journal, settings, lambda: self.other)
        self.fence = 0

    def attempt(self, number: int = 1) -> JobAttempt:
        self.fence += 1
        return JobAttempt(number, self.fence, 1, 1, "shop.sync", "default", 1, None, self.journal)

    def run(self, attempt: JobAttempt, function: Callable[[], object]) -> None:
        """Run a function as the task's code of an attempt."""

        def call() -> None:
            running_attempt.set(attempt)
            function()

        root = logging.getLogger()
        root.handlers = [one for one in root.handlers if one is self.handler]  # not pytest's own
        attempt.is_open = True
        copy_context().run(call)

    def lines(self, attempt: JobAttempt) -> list[Line]:
        log = self.journal._logs.get(attempt.fence)
        return [] if log is None else list(log.news(0.0, 10_000).lines)


@pytest.fixture
def make_desk() -> Iterator[Callable[..., Desk]]:
    """Makes desks, and leaves the root logger as it was."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield lambda **settings: Desk(LogSettings(**settings))
    root.setLevel(level)
    root.handlers = handlers


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def test_a_record_lands_on_the_job_whose_code_logs_it(desk: Desk) -> None:
    one, two = desk.attempt(1), desk.attempt(2)

    desk.run(one, lambda: LOG.info("%d apples", 3))
    desk.run(two, lambda: LOG.warning("pears"))

    (line,) = desk.lines(one)
    assert (line.level, line.logger, line.text) == (20, "shop.tasks", "3 apples")
    assert [line.text for line in desk.lines(two)] == ["pears"]


def test_a_record_outside_of_any_job_lands_nowhere(desk: Desk) -> None:
    LOG.warning("nobody's")

    assert desk.journal._logs == {}


def test_what_an_ended_attempt_leaves_behind_logs_nowhere(desk: Desk) -> None:
    attempt = desk.attempt()
    attempt_context = []
    desk.run(attempt, lambda: attempt_context.append(copy_context()))
    attempt.is_open = False

    attempt_context[0].run(LOG.info, "too late")

    assert desk.journal._logs == {}


def test_where_there_is_no_context_the_worker_may_know_the_job(desk: Desk) -> None:
    desk.other = desk.attempt()
    desk.other.is_open = True

    LOG.info("from a thread")

    assert [line.text for line in desk.lines(desk.other)] == ["from a thread"]


@pytest.mark.parametrize(
    ("level", "kept"),
    [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e"), ("off", "")],
)
def test_the_setting_says_from_which_level_on_lines_are_kept(
    make_desk: Callable[..., Desk], level: str, kept: str
) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    desk = make_desk(job_level=JobLogLevel(level))
    attempt = desk.attempt()

    def log_all() -> None:
        for one in ("debug", "info", "warning", "error"):
            getattr(LOG, one)(one[0])

    desk.run(attempt, log_all)

    assert "".join(line.text for line in desk.lines(attempt)) == kept


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def fail(error: BaseException) -> None:
    try:
        raise error
    except type(error):
        LOG.exception("failed")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class WrongRecord(logging.LogRecord):
    """A record of the users' own that is none."""

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        return 5  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("say", "text"),
    [
        (lambda: LOG.info("%d apples", "no"), "%d apples (its arguments cannot be filled in: "),
        (lambda: LOG.info("%s", Unprintable()), "%s (its arguments cannot be filled in: "),
        (lambda: LOG.info(Unprintable()), "Unprintable (its arguments cannot be filled in: "),
        (lambda: LOG.info("a\0b\ud800"), r"a\x00b\ud800"),
        (lambda: fail(ValueError("boom")), "failed\nTraceback (most recent call last):"),
        (lambda: fail(UnprintableError()), "failed\nTraceback (most recent call last):"),
        (lambda: LOG.info("here", stack_info=True), "here\nStack (most recent call last):"),
    ],
)
def test_a_record_that_cannot_be_shown_harms_no_job(
    desk: Desk, say: Callable[[], None], text: str
) -> None:
    attempt = desk.attempt()

    desk.run(attempt, say)

    (line,) = desk.lines(attempt)
    assert line.text.startswith(text)


def test_a_record_that_is_none_harms_no_job(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    attempt = desk.attempt()
    record = WrongRecord("shop", 20, "here", 1, "text", (), None)

    desk.run(attempt, lambda: desk.handler.handle(record))

    assert desk.lines(attempt) == []
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_message_of_10_megabytes_loses_its_middle(desk: Desk) -> None:
    attempt = desk.attempt()

    desk.run(attempt, lambda: LOG.info("<" + "x" * 10_000_000 + ">"))

    (line,) = desk.lines(attempt)
    assert len(line.text) == 8_000
    assert (line.text[0], line.text[-1]) == ("<", ">")
    assert "characters left out" in line.text


def test_a_clock_that_is_out_of_its_mind_is_not_believed(desk: Desk) -> None:
    attempt = desk.attempt()
    record = LOG.makeRecord("shop", 10**9, "here", 1, "text", (), None)
    record.created = float("nan")

    desk.run(attempt, lambda: desk.handler.handle(record))

    (line,) = desk.lines(attempt)
    assert 1e9 < line.at < 4e9
    assert line.level == 32_767


def test_the_handler_comes_back_after_a_job_has_configured_logging_anew(desk: Desk) -> None:
    attempt = desk.attempt()
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "root": {"handlers": []}}
    )
    assert desk.handler not in logging.getLogger().handlers

    desk.handler.stay()
    desk.handler.stay()
    desk.run(attempt, lambda: LOG.warning("still here"))

    assert [line.text for line in desk.lines(attempt)] == ["still here"]


def test_an_interrupt_that_strikes_in_a_log_call_reaches_the_job(desk: Desk) -> None:
    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.run(desk.attempt(), lambda: LOG.info("%s", Interrupting()))
