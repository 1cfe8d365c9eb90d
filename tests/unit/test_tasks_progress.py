from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any

import pytest

from taskd.errors import OptionInvalid
from taskd.tasks.context import CurrentJob, JobAttempt
from taskd.tasks.progress import MAX_MESSAGE, check_progress


class Notes:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, float, str]] = []

    def progress(self, attempt: JobAttempt, fraction: float, message: str) -> None:
        self.taken.append((attempt.id, fraction, message))

    def extended(self, attempt: JobAttempt) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize("fraction", [0, 1, 0.0, 1.0, 0.4, Fraction(1, 3)])
def test_progress_reaches_the_journal_of_its_attempt(fraction: Any) -> None:
    notes = Notes()
    job = CurrentJob(JobAttempt(7, 70, 1, 1, "shop.sync", "default", 1, None, notes))

    job.progress(fraction, "12 of 30")

    assert notes.taken == [(7, float(fraction), "12 of 30")]


@pytest.mark.parametrize(
    ("fraction", "sentence"),
    [
        (-0.1, r"progress=-0\.1 is not between 0 and 1: say done / total"),
        (1.0001, r"progress=1\.0001 is not between"),
        (40, "progress=40 is not between"),
        (float("nan"), "progress=nan is not between"),
        (float("inf"), "progress=inf is not between"),
        (True, "progress=True is no number"),
        ("0.4", "progress='0.4' is no number"),
        (None, "progress=None is no number"),
    ],
)
def test_what_is_no_share_is_refused_before_anything_is_taken(fraction: Any, sentence: str) -> None:
    notes = Notes()
    job = CurrentJob(JobAttempt(7, 70, 1, 1, "shop.sync", "default", 1, None, notes))

    with pytest.raises(OptionInvalid, match=sentence):
        job.progress(fraction)

    assert notes.taken == []


def test_a_message_that_is_no_text_is_refused() -> None:
    message: Any = 12

    with pytest.raises(OptionInvalid, match="message=12 is no text"):
        check_progress(0.5, message)


def test_a_message_can_be_stored_whatever_is_in_it() -> None:
    _, message = check_progress(0.5, "\0\ud800" + "x" * 10_000)

    assert message.startswith(r"\x00\ud800x")
    assert len(message) < 2 * MAX_MESSAGE


def test_without_a_journal_progress_is_only_checked() -> None:
    job = CurrentJob(JobAttempt(7, 70, 1, 1, "shop.sync"))

    job.progress(0.5)
    with pytest.raises(OptionInvalid):
        job.progress(5)
