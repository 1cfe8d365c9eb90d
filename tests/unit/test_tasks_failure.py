from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.errors import JobTimeout
from taskd.tasks.failure import (
    MAX_ERROR,
    MAX_TRACEBACK,
    error_text,
    storable,
    traceback_text,
)


def raised(error: BaseException) -> BaseException:
    """The exception with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


@given(st.text(st.characters()), st.integers(min_value=200, max_value=1000))
def test_any_text_becomes_storable(text: str, limit: int) -> None:
    stored = storable(text * 20, limit)

    stored.encode()
    assert "\0" not in stored
    assert len(stored) <= limit * 6  # an escaped character takes six


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    stored = storable("begin" + "x" * 100_000 + "end", 1000)

    assert len(stored) <= 1000
    assert stored.startswith("begin")
    assert stored.endswith("end")
    assert "characters left out" in stored


def test_an_error_is_said_as_python_says_it() -> None:
    assert error_text(ValueError("boom")) == "ValueError: boom"
    assert error_text(KeyError()) == "KeyError"
    assert error_text(JobTimeout(0.2)) == "JobTimeout: still running after its timeout of 0.2 s"
    assert error_text(Unprintable()).endswith(
        "Unprintable: (its message cannot be shown: SystemExit)"
    )


def test_a_huge_message_is_bounded() -> None:
    error = raised(ValueError("x" * 1_000_000))

    assert len(error_text(error)) <= MAX_ERROR
    assert len(traceback_text(error)) <= MAX_TRACEBACK


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class BadRepr:
    def __repr__(self) -> str:
        raise ValueError


class Leaving:
    """Code of a user's that does not stop at Exception."""

    def __repr__(self) -> str:
        raise SystemExit(3)


class HalfAnError(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise KeyboardInterrupt


def test_a_local_whose_repr_leaves_is_named() -> None:
    def fail() -> None:
        leaving = Leaving()
        raise ValueError(f"boom {type(leaving)}")

    try:
        fail()
    except ValueError as error:
        text = traceback_text(error)

    assert "leaving = <Leaving whose repr raises SystemExit>" in text
    assert text.rstrip().endswith("Leaving'>")


def test_an_error_whose_parts_leave_is_told_without_them() -> None:
    text = traceback_text(raised(HalfAnError("boom")))

    assert "HalfAnError: boom" in text
    assert "(its traceback cannot be shown: KeyboardInterrupt)" in text


def test_locals_are_short_and_secrets_are_hidden() -> None:
    def fail(api_key: str, password: str) -> None:
        rows = list(range(100_000))
        bad = BadRepr()
        raise ValueError(f"boom {len(rows)} {type(bad)}")

    try:
        fail("k3y-of-mine", "hunter2")
    except ValueError as error:
        text = traceback_text(error)

    assert "rows = [0, 1, 2, 3, 4, 5, ...]" in text
    assert "bad = <BadRepr instance at" in text or "bad = <BadRepr whose repr raises" in text
    assert "password = (hidden" in text
    assert "api_key = (hidden" in text
    assert "k3y-of-mine" not in text.split("in fail")[1]


def test_causes_are_shown() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as outer:
        text = traceback_text(outer)

    assert "KeyError: 'inner'" in text
    assert "direct cause of the following" in text
    assert text.rstrip().endswith("ValueError: outer")


def test_a_deep_recursion_has_a_short_traceback() -> None:
    def recurse(depth: int) -> None:
        recurse(depth + 1)

    try:
        recurse(0)
    except RecursionError as error:
        text = traceback_text(error)

    assert len(text) <= MAX_TRACEBACK
    assert "RecursionError" in text


def test_a_group_of_errors_is_shown_with_its_members() -> None:
    group = raised(ExceptionGroup("several", [ValueError("one"), KeyError("two")]))

    text = traceback_text(group)

    assert "ValueError: one" in text
    assert "KeyError: 'two'" in text


@pytest.mark.parametrize("notes", [5, ["fine"], "text"])
def test_strange_notes_do_no_harm(notes: object) -> None:
    error = ValueError("boom")
    error.__notes__ = notes  # type: ignore[assignment]

    assert "boom" in traceback_text(raised(error))
