"""All about one resource or limit: its numbers, its holders, and a page of its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import click

from taskd.cli.job_sheet import LABEL_WIDTH
from taskd.cli.moments import distance, span
from taskd.cli.output import Column, print_lines, print_table, printable
from taskd.config.rates import format_rate
from taskd.store.connect import Connection
from taskd.store.needs import EXCLUSIVE
from taskd.store.resources import (
    NOBODY,
    Holder,
    Holders,
    InLine,
    ResourceRow,
    find_holders,
    list_line,
)
from taskd.tasks.reasons import counted, title

LINE = (
    Column("IN LINE", right=True),
    Column("TASK", flexible=True),
    Column("WANTS"),
    Column("SINCE"),
)


PATIENCE_SECONDS = 0.75
"""How long a command looks for holders; a page of the dashboard takes less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A resource with its holders and a page of its line; `is_last`: the line ends with it."""

    resource: ResourceRow
    holders: Holders
    line: list[InLine]
    is_last: bool

    def to_json_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            **asdict(self.resource),
            "holders": [asdict(holder) for holder in self.holders.first],
            "holders_found": self.holders.found,
            "hidden_units": self.holders.hidden,
            "line": [asdict(entry) for entry in self.line],
        }


def read_sheet(
    connection: Connection, resource: ResourceRow, after: int | None, limit: int
) -> Sheet:
    """Read at most `limit` holders, and as many of the line, from its front or behind a job."""
    held = find_holders(connection, {resource.name: resource.used}, limit, PATIENCE_SECONDS)
    line = list_line(connection, resource.name, after, limit + 1)
    return Sheet(
        resource=resource,
        holders=held.get(resource.name, NOBODY),
        line=line[:limit],
        is_last=len(line) <= limit,
    )


def print_sheet(sheet: Sheet, now: datetime) -> None:
    """Print it for people."""
    print_lines(printable(line) for line in _lines(sheet, now))
    if sheet.line:
        print_table(LINE, [_entry(entry, sheet.resource, now) for entry in sheet.line])
    if not sheet.is_last:
        click.echo(f"The line goes on: --after {sheet.line[-1].id}", err=True)


def _lines(sheet: Sheet, now: datetime) -> Iterator[str]:
    resource, holders = sheet.resource, sheet.holders
    yield _labelled("resource", title(resource.name))
    yield _labelled("used", _used(resource))
    if resource.rate is not None:
        yield _labelled("rate", _rate(resource, now))
    label = "held by"
    for holder in holders.first:
        yield _labelled(label, _holder(holder, resource, now))
        label = ""
    if holders.found > len(holders.first):
        yield _labelled("", f"and {holders.found - len(holders.first)} more")
    if holders.hidden:
        yield _labelled(label, f"{_hidden(holders)} by jobs that wait or have just ended")
    yield _labelled("waiting", counted(resource.waiting) if resource.waiting else "nobody")


def _labelled(label: str, text: str) -> str:
    return f"{label + ':' if label else '':<{LABEL_WIDTH}}{text}"


def _used(resource: ResourceRow) -> str:
    used = "all" if resource.used >= EXCLUSIVE else str(resource.used)
    return used if resource.units is None else f"{used} of {resource.units}"


def _rate(resource: ResourceRow, now: datetime) -> str:
    text = f"{format_rate(resource.rate or 0.0)}, burst {resource.burst or 1}"
    if resource.retry_at is None:
        return text
    return f"{text}; the next may begin in {span((resource.retry_at - now).total_seconds())}"


def _holder(holder: Holder, resource: ResourceRow, now: datetime) -> str:
    where = f" in {holder.worker}" if holder.worker else ""
    since = "" if holder.since is None else f" for {span((now - holder.since).total_seconds())}"
    state = f"{holder.state}{where}{since}"
    return f"{holder.id} {holder.task} ({_wanted(holder.need, resource)}, {state})"


def _hidden(holders: Holders) -> str:
    return "all of it" if holders.hidden >= EXCLUSIVE else f"{holders.hidden} more units"


def _entry(entry: InLine, resource: ResourceRow, now: datetime) -> tuple[object, ...]:
    return entry.id, entry.task, _wanted(entry.need, resource), distance(entry.since, now)


def _wanted(need: int, resource: ResourceRow) -> str:
    if need == EXCLUSIVE:
        return "exclusive"
    if not resource.name.startswith("@"):
        return "shared"
    return "a place" if need == 1 else f"{need} places"
