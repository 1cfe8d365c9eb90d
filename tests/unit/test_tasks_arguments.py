from __future__ import annotations

import dataclasses
import enum
import json
import sys
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.errors import NotJson, TooLarge
from taskd.tasks.arguments import encode_call, encode_result, encode_together

LIMIT = 10**6

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)
ANYTHING = st.recursive(
    SCALARS | st.text() | st.floats() | st.binary() | st.dates() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
    ),
    max_leaves=12,
)


class Colour(enum.IntEnum):
    RED = 3


class Shade(enum.StrEnum):
    DARK = "dark"


class Plain(enum.Enum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Order:
    number: int


@given(st.lists(VALUES), st.dictionaries(TEXTS, VALUES))
def test_json_comes_back_as_it_was_given(args: list[Any], kwargs: dict[str, Any]) -> None:
    args_text, kwargs_text = encode_call(args, kwargs, 10**9)

    assert json.loads(args_text) == args
    assert json.loads(kwargs_text or "{}") == kwargs


@given(st.lists(st.lists(ANYTHING), min_size=1))
def test_calls_that_are_encoded_together_are_as_each_by_itself(calls: list[list[Any]]) -> None:
    texts = encode_together(calls, LIMIT)

    if texts is not None:
        assert texts == [encode_call(args, {}, LIMIT)[0] for args in calls]


@given(st.lists(st.lists(SCALARS), min_size=1))
def test_plain_values_without_a_bracket_are_encoded_together(calls: list[list[Any]]) -> None:
    whole = "".join(str(value) for args in calls for value in args)

    together = encode_together(calls, LIMIT) is not None
    assert together == (not {"[", "{"} & set(whole) and "\\u0000" not in whole)


@pytest.mark.parametrize(
    "value",
    [[1], "],[", "{}", {"a": 1}, {1}, "a\0b", "a\udc80", float("nan"), 10**5000, "x" * 250],
    ids=lambda value: type(value).__name__,
)
def test_what_must_be_looked_at_is_not_encoded_together_with_others(value: Any) -> None:
    for calls in ([[value], ["a"]], [["a"], [value]]):
        assert encode_together(calls, 1000) is None


@given(ANYTHING)
def test_a_value_is_refused_or_can_be_stored_and_read(value: Any) -> None:
    try:
        text, _ = encode_call([value], {}, 10**9)
    except NotJson:
        return

    text.encode()
    assert "\0" not in str(json.loads(text))
    assert encode_call(json.loads(text), {}, 10**9)[0] == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, (2, 3)), "[1,[2,3]]"),
        (Point(1, 2), "[1,2]"),
        (Colour.RED, "3"),
        (Shade.DARK, '"dark"'),
        (OrderedDict(a=1), '{"a":1}'),
        ("größer", '"größer"'),
        ("\\u0000", '"\\\\u0000"'),
        (10**100, "1" + "0" * 100),
    ],
    ids=repr,
)
def test_what_is_json_by_its_value_is_taken(value: Any, text: str) -> None:
    assert encode_call([value], {}, LIMIT)[0] == f"[{text}]"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime is not JSON; pass an ISO string"),
        (date(2026, 1, 1), "date is not JSON; pass an ISO string"),
        (timedelta(1), "timedelta is not JSON; pass .total_seconds()"),
        ({1, 2}, "set is not JSON; pass a list"),
        (b"x", "bytes is not JSON; pass .decode(), or base64 for what is no text"),
        (Decimal(1), "Decimal is not JSON; pass a string, or a float"),
        (uuid.UUID(int=1), "UUID is not JSON; pass a string"),
        (Path("x"), "Path is not JSON; pass a string"),
        (Plain.ONE, "Plain is not JSON; pass its .value"),
        (Order(1), "Order is not JSON; pass dataclasses.asdict(…)"),
        (ValueError("x"), "ValueError is not JSON; pass its text"),
        (Ellipsis, "ellipsis is not JSON; pass text, numbers"),
        (float("nan"), "nan is not JSON; pass None, or a text"),
        (float("-inf"), "-inf is not JSON"),
        ("a\0b", "the text holds a NUL character at position 1; remove it"),
        ("a\udc80", "the text holds half a character, '\\udc80' at position 1"),
        ({"a\0": 1}, "the key 'a\\x00' holds a NUL character"),
        ({1: 2}, "the key 1 is of type int, and JSON's keys are text; pass a string"),
        ({None: 2}, "the key None is of type NoneType"),
        ({(1, 2): 2}, "the key (1, 2) is of type tuple"),
    ],
    ids=repr,
)
def test_what_is_not_json_is_refused_with_its_type_and_a_remedy(value: Any, sentence: str) -> None:
    for place, args, kwargs in [
        ("argument 2: ", [1, value], {}),
        ("argument when: ", [], {"when": value}),
    ]:
        with pytest.raises(NotJson) as refused:
            encode_call(args, kwargs, LIMIT)
        assert str(refused.value).startswith(place)
        assert sentence in str(refused.value)


def test_an_integer_too_long_to_be_read_is_refused() -> None:
    with pytest.raises(NotJson, match="an integer of more than 4300 digits cannot be read back"):
        encode_call([[10**5000]], {}, LIMIT)


def test_the_path_leads_to_what_is_not_json() -> None:
    order = {"items": [0, 1, 2, {"when": datetime(2026, 1, 1, tzinfo=UTC)}]}

    with pytest.raises(NotJson) as refused:
        encode_call(["a", order], {}, LIMIT)

    expected = "argument 2: items[3].when: datetime is not JSON; pass an ISO string"
    assert str(refused.value) == expected


def test_a_key_that_is_no_identifier_is_quoted_in_the_path() -> None:
    with pytest.raises(NotJson, match=r"argument 1: \['a b'\]\[0\]: set is not JSON"):
        encode_call([{"a b": [{1}]}], {}, LIMIT)


def test_a_list_that_contains_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append(loop)

    with pytest.raises(NotJson, match=r"argument 1: \[1\]: the list contains itself"):
        encode_call([loop], {}, LIMIT)


@pytest.mark.parametrize("depth", [150, 100_000])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_deep_nesting_is_refused(depth: int, wrap: Any) -> None:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)

    with pytest.raises(NotJson, match="nested deeper than 100 levels"):
        encode_call([value], {}, 10**9)


def test_a_value_used_twice_is_not_taken_for_a_loop() -> None:
    part = [1]

    assert encode_call([part, [part, part]], {}, LIMIT)[0] == "[[1],[[1],[1]]]"


def test_digits_that_other_readers_refuse_are_refused_whatever_is_allowed_here() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(NotJson, match="more than 4300 digits"):
            encode_call([10**5000], {}, LIMIT)
    finally:
        sys.set_int_max_str_digits(before)


def test_the_limit_counts_bytes_of_arguments_and_keywords_together() -> None:
    encode_call(["ä" * 10], {"a": 1}, 31)

    with pytest.raises(TooLarge) as refused:
        encode_call(["ä" * 10], {"a": 1}, 30)
    assert (refused.value.size, refused.value.limit) == (31, 30)
    assert "max_args" in str(refused.value)


def test_no_keywords_are_stored_as_none() -> None:
    assert encode_call([1], {}, LIMIT) == ("[1]", None)


def test_a_result_is_told_by_its_own_place() -> None:
    assert encode_result({"a": [1, 2.5, None]}) == '{"a":[1,2.5,null]}'

    with pytest.raises(NotJson, match=r"result: a\[1\]: set is not JSON; pass a list"):
        encode_result({"a": [1, {2}]})
    with pytest.raises(TooLarge, match="result: 12 bytes of JSON are more than the allowed 10"):
        encode_result("x" * 10, limit=10)
