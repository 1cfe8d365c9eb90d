"""Whatever JSON the command line is given, it is taken for what it is, or is wrong usage."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import click
from hypothesis import given, settings
from hypothesis import strategies as st

from taskd.cli.parameters import ARRAY, OBJECT, TEXT, Duration, Json, Time
from tests.commands import run_taskd

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
WORDS = r"""
[ ] { } , : " \ \u0000 \ud800 null true NaN Infinity -0 1e999 1e-999 9007199254740993 é 😀 "a" 0x1
01 'a' // [[ {{
"""
PIECES = st.sampled_from([*WORDS.split(), "\0", "\ufeff", "\n"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
JSON_LIKE = st.text() | st.lists(PIECES).map("".join) | VALUES.map(json.dumps)


def taken(kind: Json, text: str) -> Any:
    """What the text is taken for; None if it is refused."""
    try:
        return kind.convert(text, None, None)
    except click.UsageError:
        return None


@given(JSON_LIKE)
def test_an_argument_is_the_value_that_json_has_for_it(text: str) -> None:
    for kind in (ARRAY, OBJECT):
        found = taken(kind, text)
        if found is not None:
            assert isinstance(found, kind.kind)
            assert json.loads(json.dumps(found)) == json.loads(text)


@given(st.lists(VALUES))
def test_every_array_of_json_is_taken(value: list[Any]) -> None:
    text = json.dumps(value)
    if text != "-":
        assert taken(ARRAY, text) == value


@given(st.integers(1, 5000))
def test_any_depth_is_taken_or_refused(depth: int) -> None:
    taken(ARRAY, "[" * depth + "]" * depth)


@given(st.text())
def test_any_text_is_a_duration_a_time_and_a_name_or_none(text: str) -> None:
    for kind in (Duration(0), Time(), TEXT):
        with suppress(click.UsageError):
            kind.convert(text, None, None)


@settings(max_examples=40)
@given(path=st.sampled_from(["shop.sync", "a b", ""]) | st.text(), args=JSON_LIKE, kwargs=JSON_LIKE)
def test_an_enqueue_that_is_wrong_says_so_before_it_looks_for_the_database(
    path: str, args: str, kwargs: str
) -> None:
    said = run_taskd("--database", NOWHERE, "enqueue", "--", path, args, kwargs)

    assert said.exit_code in (1, 2), said.output
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    assert "Traceback" not in said.output
