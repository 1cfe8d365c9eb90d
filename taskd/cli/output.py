"""What goes to standard output: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

NARROWEST = 8
"""A column is cut down to this many cells at most."""

STATE_COLOURS = {
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "succeeded": "green",
    "paused": "yellow",
    "unoffered": "red",
    "silent": "red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title; `right` aligns numbers; `flexible` columns are cut when space is short.

    In a `painted` column the words of STATE_COLOURS take their colour.
    """

    title: str
    right: bool = False
    flexible: bool = False
    painted: bool = False


def print_json(value: object) -> None:
    """One JSON value: the times in it as ISO 8601, everything else as it is."""
    click.echo(json.dumps(value, indent=2, default=_as_json))


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def print_lines(lines: Iterable[str]) -> None:
    """Lines as they are; the caller has made what is not its own `printable`."""
    for line in lines:
        click.echo(line)


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], nothing: str = ""
) -> None:
    """A table that fits the terminal; in a pipe, whole cells however wide.

    If there are no rows, `nothing` says so on standard error.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = table_lines(columns, [[one_line(cell) for cell in row] for row in rows], width)
    for line in lines:
        click.echo(line)
    if len(lines) == 1 and nothing:
        click.echo(nothing, err=True)


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """The lines of a table, its title first, none wider than `width` if that can be."""
    titles = [column.title for column in columns]
    widths = _fit(columns, [titles, *rows], width)
    lines = [click.style(_line(columns, titles, widths), bold=True)]
    return lines + [_line(columns, row, widths) for row in rows]


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """The columns' widths: the widest flexible ones give way until the table fits."""
    widths = [max(cells(row[i]) for row in rows) for i in range(len(columns))]
    if width is None:
        return widths
    excess = sum(widths) + 2 * (len(widths) - 1) - width
    flexible = [i for i, column in enumerate(columns) if column.flexible]
    while excess > 0 and flexible:
        widest = max(flexible, key=lambda i: widths[i])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for column, cell, width in zip(columns, row, widths, strict=True):
        text = shortened(cell, width)
        gap = " " * (width - cells(text))
        if column.painted:
            text = painted(text)
        parts.append(gap + text if column.right else text + gap)
    return "  ".join(parts).rstrip()


def painted(state: str) -> str:
    """The name of a state in its colour, if it has one."""
    colour = STATE_COLOURS.get(state)
    return click.style(state, fg=colour) if colour else state


def shortened(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis, in at most `width` cells of a terminal."""
    if cells(text) <= width:
        return text
    taken = 0
    for position, character in enumerate(text):
        taken += _cell(character)
        if taken > width - 1:
            return text[:position] + "…"
    return text


def cells(text: str) -> int:
    """How many cells of a terminal a text takes; wide characters take two, marks none."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def one_line(value: object) -> str:
    """A value as one line without control characters, which could take the terminal over."""
    if value is None:
        return "-"
    return printable(" ".join(str(value).split()))


def printable(text: str) -> str:
    """A text whose control characters, beside line feeds and tabs, are shown as escapes."""
    return "".join(c if _is_harmless(c) else c.encode("unicode_escape").decode() for c in text)


def _is_harmless(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs", "Cf")


def use_colours() -> bool | None:
    """False where colours are unwelcome (NO_COLOR, a dumb terminal); None: where click sees fit."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return None
