from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.config.units import format_duration, format_size, parse_duration, parse_size, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("30 s", 30.0),
        ("5m", 300.0),
        ("1.5h", 5400.0),
        ("14d", 1209600.0),
        ("90", 90.0),
        (90, 90.0),
        (0.25, 0.25),
        ("-3s", -3.0),
    ],
)
def test_duration_is_seconds_whatever_its_unit(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64kB", 64_000),
        ("64KB", 64_000),
        ("400MB", 400_000_000),
        ("1.5TB", 1_500_000_000_000),
        ("1MiB", 1_048_576),
        ("1.5KiB", 1536),
        ("0.3kB", 300),
        ("2GiB", 2 * 1024**3),
        ("7", 7),
        (7, 7),
        ("7B", 7),
    ],
)
def test_size_is_bytes_whatever_its_unit(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "1:30",
        "1 minute",
        "1M",
        "1e3s",
        "٣s",
        "1s\n",
        "0x10",
        "9" * 16,
        True,
        None,
        math.inf,
    ],
)
def test_what_is_no_duration_is_refused_with_the_units_there_are(text: object) -> None:
    with pytest.raises(ValueError, match="ms, s, m, h or d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "1m", "1mb", "1 megabyte", "1PB", False, None, {}, math.inf])
def test_what_is_no_size_is_refused_with_the_units_there_are(text: object) -> None:
    with pytest.raises(ValueError, match="kB, MB, GB, TB, KiB, MiB or GiB"):
        parse_size(text)


def test_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        parse_size("1.5B")


def test_number_beyond_floats_is_no_overflow() -> None:
    assert parse_duration(10**400) == 1e300


@given(st.integers(0, 10**9))
def test_formatted_duration_reads_as_the_same_duration(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(0, 10**15))
def test_formatted_size_reads_as_the_same_size(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text())
def test_any_text_is_a_duration_and_a_size_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.97, "10 s"),
        (10.2, "10 s"),
        (200, "3 min 20 s"),
    ],
)
def test_a_span_is_rounded_before_its_unit_is_chosen(seconds: float, text: str) -> None:
    assert span(seconds) == text
