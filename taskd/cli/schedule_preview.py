"""`taskd schedules preview`: when the next slots are, and what clocks that change do to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.invocation import current
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import SCHEDULE, Duration, Text, Time, json_option
from taskd.clock import utc_now
from taskd.config.cron import check_cron, check_timezone
from taskd.config.sections import YEAR
from taskd.store.schedules import find_schedule
from taskd.tasks.definition import spec_of
from taskd.tasks.preview import ShownSlot, shown_slots
from taskd.tasks.schedule import Cron, Every, Schedule, schedule_of

MOST_SLOTS = 1000

COLUMNS = (Column("LOCAL"), Column("UTC"), Column("NOTE", flexible=True))


class Checked(Text):
    """A text that a check of the configuration accepts."""

    def __init__(self, name: str, check: Callable[[str], str]) -> None:
        self.name, self._check = name, check

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Give back the text as the check does."""
        text = super().convert(value, param, ctx)
        try:
            return self._check(text)
        except ValueError as error:
            self.fail(f"{text!r} {error}", param, ctx)


def _row(slot: ShownSlot) -> tuple[str, str, str]:
    return (
        f"{slot.local:%a %Y-%m-%d %H:%M:%S %z}",
        f"{slot.local.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        slot.note or "",
    )


@click.command()
@click.argument("name", required=False, type=SCHEDULE)
@click.option("--cron", type=Checked("expression", check_cron), help="Instead of NAME.")
@click.option("--every", type=Duration(1, YEAR), help="Instead of NAME: 15m.")
@click.option(
    "--timezone",
    type=Checked("zone", check_timezone),
    help="Whose clock --cron goes by, or is shown; UTC if left out.",
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, MOST_SLOTS),
    default=10,
    show_default=True,
    help="How many slots.",
)
@click.option("--after", type=Time(), help="From then on, not from now: 2030-03-30T12:00.")
@json_option
def preview(
    name: str | None,
    cron: str | None,
    every: float | None,
    timezone: str | None,
    count: int,
    after: datetime | None,
    as_json: bool,
) -> None:
    """Show the next slots of a schedule, or of an expression, by the clock and in UTC.

    NAME is looked for in the file, then among what daemons have declared. Where the clock is
    changed, NOTE says what becomes of the slot.
    """
    if sum(given is not None for given in (name, cron, every)) != 1:
        raise WrongUsage("say one of NAME, --cron and --every")
    if name is not None:
        schedule = _schedule_of_file(name) or _schedule_of_database(name)
    else:
        schedule = Cron(cron, timezone=timezone or "UTC") if cron is not None else Every(every or 0)
    zone = ZoneInfo(timezone or (schedule.timezone if isinstance(schedule, Cron) else "UTC"))
    slots = list(shown_slots(schedule, zone, after or utc_now(), count))
    if as_json:
        print_json([slot.to_json_dict() for slot in slots])
    else:
        print_table(COLUMNS, [_row(slot) for slot in slots], "No slot is left.")


def _schedule_of_file(name: str) -> Schedule | None:
    settings = current().settings().schedules.get(name)
    return None if settings is None else schedule_of(spec_of(settings))


def _schedule_of_database(name: str) -> Schedule:
    with open_jobs() as connection:
        row = find_schedule(connection, name)
    if row is None:
        raise Failure(f"no schedule is named {name}, in the file or among those of daemons")
    return schedule_of(json.loads(row.spec))
