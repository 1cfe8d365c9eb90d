from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from taskd.cli.moments import distance, size, span, took
from taskd.cli.output import Column, cells, one_line, shortened, table_lines

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.000187, "0.187 ms"),
        (0.3514, "351 ms"),
        (3.14, "3.1 s"),
        (12.9, "12 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (187200, "2 d 4 h"),
    ],
)
def test_a_span_shows_its_two_largest_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("ago", "shown"),
    [(0.2, "just now"), (3, "3 s ago"), (7300, "2 h ago"), (-300, "in 5 min"), (-0.5, "in 1 s")],
)
def test_a_moment_is_shown_by_its_distance(ago: float, shown: str) -> None:
    assert distance(NOW - timedelta(seconds=ago), NOW) == shown


def test_what_has_not_happened_is_a_dash() -> None:
    assert distance(None, NOW) == "-"
    assert took(NOW, None) == "-"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (9_600_000, "9.6 MB"), (10**15, "1000 TB")],
)
def test_a_size_has_the_unit_that_fits(amount: int | None, shown: str) -> None:
    assert size(amount) == shown


def test_a_table_aligns_numbers_right_and_texts_left() -> None:
    columns = (Column("ID", right=True), Column("TASK"))

    lines = [
        click.unstyle(line) for line in table_lines(columns, [["7", "a.b"], ["123", "c"]], None)
    ]

    assert lines == [" ID  TASK", "  7  a.b", "123  c"]


def test_a_table_fits_the_terminal_by_cutting_its_flexible_columns() -> None:
    columns = (Column("ID"), Column("TASK", flexible=True), Column("ERROR", flexible=True))

    lines = table_lines(columns, [["1", "shop.tasks.fetch", "e" * 200]], 50)

    assert all(cells(click.unstyle(line)) <= 50 for line in lines)
    assert "shop.tasks.fetch" in lines[1]
    assert lines[1].endswith("…")


def test_a_column_is_never_cut_to_nothing() -> None:
    lines = table_lines((Column("TASK", flexible=True),), [["shop.tasks.fetch"]], 3)

    assert lines[1] == "shop.ta…"


def test_wide_characters_take_two_cells() -> None:
    assert cells("日本") == 4
    assert shortened("日本語", 5) == "日本…"


def test_control_characters_cannot_take_the_terminal_over() -> None:
    assert one_line("a\x1b[31m\nb\r\x00") == r"a\x1b[31m b \x00"


def test_a_state_takes_its_colour_only_in_a_painted_column() -> None:
    columns = (Column("STATE", painted=True), Column("QUEUE"))

    _, line = table_lines(columns, [["failed", "failed"]], None)

    assert line == click.style("failed", fg="red") + "  failed"
