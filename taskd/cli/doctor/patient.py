"""The running system that is looked at."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from taskd.cli.workers import Report, fresh_reports
from taskd.clock import monotonic
from taskd.store import health
from taskd.store.connect import Connection
from taskd.store.hosts import SILENT_SECONDS

LETTER_SECONDS, LOOK_SECONDS = 1.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The database, and what its daemons said when they were asked.

    stuck_letter: the first letter, if that was still the first a second later.
    """

    connection: Connection
    reports: Sequence[Report]
    stuck_letter: int | None

    @classmethod
    def examined(cls, connection: Connection) -> Patient:
        """Ask the daemons, and wait up to 1.5 seconds for their answers."""
        letter, asked = health.first_letter(connection), monotonic()
        reports = fresh_reports(connection)
        while letter is not None and monotonic() < asked + LETTER_SECONDS:
            time.sleep(LOOK_SECONDS)
            if health.first_letter(connection) != letter:
                letter = None
        return cls(connection=connection, reports=reports, stuck_letter=letter)

    @property
    def living(self) -> list[Report]:
        """The hosts that speak for themselves."""
        return [one for one in self.reports if one.host.beat_age < SILENT_SECONDS]


def clock_of(report: Report) -> float | None:
    """By how many seconds a host's clock is before the database's; None: it did not say."""
    told = next((p["clock"] for p in report.processes() if p.get("clock")), None)
    if told is None or report.host.reported_at is None or not report.is_fresh:
        return None
    return (datetime.fromisoformat(told) - report.host.reported_at).total_seconds()
