"""Rates as they are written: `100/m`."""

import pytest

from taskd.config.rates import format_rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", 10.0),
        ("100/m", 100 / 60),
        ("1/h", 1 / 3600),
        ("0.5/d", 0.5 / 86_400),
        ("2.5/s", 2.5),
        ("100 / m", 100 / 60),
        ("0.001/d", 0.001 / 86_400),
        ("1000000/s", 1e6),
    ],
)
def test_rates_are_jobs_per_second(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "100",
        100,
        1.5,
        True,
        None,
        "100/w",
        "100/10s",
        "/m",
        "1e3/s",
        "inf/s",
        "100/m\n",
        ["1/s"],
    ],
)
def test_what_is_no_rate_is_told_how_to_write_one(value: object) -> None:
    with pytest.raises(ValueError, match=r"^is not a rate: write .* such as 10/s, 100/m"):
        parse_rate(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0/m", "is not more than 0: leave it out for no limit"),
        ("-5/s", "is not more than 0: leave it out for no limit"),
        ("0.0009/d", "is too slow for a rate: at least 0.001/d"),
        ("1000001/s", "is too fast for a rate: at most 1000000/s"),
    ],
)
def test_rates_out_of_reach_are_refused_with_the_remedy(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        parse_rate(text)


@pytest.mark.parametrize(
    "text", ["10/s", "100/m", "1/m", "7/h", "1000/h", "1/d", "0.5/d", "2.5/m", "0.001/d", "1e+06/s"]
)
def test_rates_are_shown_so_that_they_can_be_written_again(text: str) -> None:
    rate = float(text[:-2]) / {"s": 1, "m": 60, "h": 3600, "d": 86_400}[text[-1]]

    assert parse_rate(format_rate(rate)) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("text", ["10/s", "100/m", "7/h", "1/d", "0.5/d"])
def test_rates_are_shown_as_people_write_them(text: str) -> None:
    assert format_rate(parse_rate(text)) == text
