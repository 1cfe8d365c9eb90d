from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskd.config.moments import Moment, is_backwards, parse_moment

NOW = datetime(2030, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h", 3600.0),
        ("90s", 90.0),
        ("2030-01-31T08:00Z", NOW),
        ("2030-01-31T09:00:00.000+01:00", NOW),
    ],
)
def test_a_moment_is_so_long_ago_or_a_time(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "-1h",
        "2030-01-31T08:00",
        "2030-01-31",
        "2030-13-31T08:00Z",
        "0001-01-01T00:00+14:00",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        parse_moment(text)


def test_a_person_means_the_local_time_and_may_leave_out_the_hour() -> None:
    assert parse_moment("2030-01-31", is_local=True) == datetime(2030, 1, 31).astimezone()


@pytest.mark.parametrize("text", ["2030", "20300131", "1.5"])
def test_a_number_alone_may_be_a_day_so_a_unit_is_asked_for(text: str) -> None:
    with pytest.raises(ValueError, match="has no unit: write 90s"):
        parse_moment(text, is_local=True)


def test_only_where_a_plus_was_lost_the_address_is_spoken_of() -> None:
    with pytest.raises(ValueError, match="%2B"):
        parse_moment("2030-01-31T08:00 01:00")
    with pytest.raises(ValueError, match=r"\+01:00$"):
        parse_moment("soon")


@pytest.mark.parametrize(
    ("since", "until", "backwards"),
    [
        (3600.0, 60.0, False),
        (60.0, 3600.0, True),
        (NOW, 0.0, False),
        (NOW, 1.0, True),
        (None, 60.0, False),
    ],
)
def test_a_span_that_ends_before_it_begins_is_seen(
    since: Moment | None, until: Moment | None, backwards: bool
) -> None:
    assert is_backwards(since, until, NOW) is backwards
