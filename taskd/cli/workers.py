"""`taskd workers`: every process of the running daemons."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.draining import drain, stop
from taskd.cli.moments import size, span
from taskd.cli.output import Column, one_line, print_json, print_table
from taskd.cli.parameters import json_option
from taskd.clock import monotonic
from taskd.store.connect import Connection
from taskd.store.hosts import SILENT_SECONDS, HostRow, ask_reports, list_hosts
from taskd.store.reading import try_to_write

ANSWER_SECONDS = 1.5
LOOK_SECONDS = 0.05
ROLES = ("master", "maintenance", "dashboard", "seed", "forkserver", "worker")

COLUMNS = (
    Column("HOST", flexible=True),
    Column("PID", right=True),
    Column("ROLE"),
    Column("POOL", flexible=True),
    Column("SLOT", right=True),
    Column("GEN", right=True),
    Column("STATE", painted=True),
    Column("JOBS", right=True),
    Column("MEMORY", right=True),
    Column("PEAK", right=True),
    Column("LEAK/JOB", right=True),
    Column("UPTIME", right=True),
)

EXAMPLES = """\b
Examples:
  taskd workers
  taskd workers drain io/0
  taskd workers --json | jq '.[] | select(.role == "worker") | .memory_bytes'
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a host last said of its processes; `age` in seconds, None if it never said anything."""

    host: HostRow
    age: float | None
    is_fresh: bool

    @classmethod
    def of(cls, host: HostRow, is_fresh: bool) -> Report:
        """The report in a host's row; its age by the clock of the database alone."""
        if host.reported_at is None:
            return cls(host, None, is_fresh)
        return cls(host, max(0.0, (_now(host) - host.reported_at).total_seconds()), is_fresh)

    def processes(self) -> list[dict[str, Any]]:
        """One entry a process, the master first."""
        entries = sorted(json.loads(self.host.processes), key=_place_in_tree)
        return [self._entry(process) for process in entries]

    def _entry(self, process: dict[str, Any]) -> dict[str, Any]:
        started = datetime.fromisoformat(process["started"]) if process.get("started") else None
        return {
            "host": self.host.name,
            "host_id": self.host.id,
            **{name: value for name, value in process.items() if name != "started"},
            "started_at": started,
            "uptime": started and max(0.0, (_now(self.host) - started).total_seconds()),
            "report_age": self.age,
            "silent": not self.is_fresh,
        }


def _now(host: HostRow) -> datetime:
    return host.beat_at + timedelta(seconds=host.beat_age)


def _place_in_tree(process: dict[str, Any]) -> tuple[int, str, int, int]:
    role = process.get("role", "")
    return (
        ROLES.index(role) if role in ROLES else len(ROLES),
        process.get("pool") or "",
        process.get("slot") or 0,
        process.get("pid") or 0,
    )


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@json_option
@click.pass_context
def workers(context: click.Context, as_json: bool) -> None:
    """Show every process of the running daemons, on all hosts.

    Asks the daemons and waits up to 1.5 seconds for their answers. A host that does not answer is
    shown as it was when it last did, as silent. MEMORY is resident memory without what is shared,
    of a worker with all processes below it, and PEAK the most that it has held.
    LEAK/JOB is by how much a worker grows with each job, where a leak is suspected. A canary is one
    worker more, which traces what it allocates until it has seen which task leaks.
    """
    if context.invoked_subcommand is not None:
        if as_json:
            context.default_map = {context.invoked_subcommand: {"as_json": True}}
        return
    with open_jobs() as connection:
        reports = fresh_reports(connection)
    processes = [process for report in reports for process in report.processes()]
    if as_json:
        print_json(processes)
    else:
        print_table(COLUMNS, [_row(process) for process in processes])
    _tell_of_silence(reports)


workers.add_command(drain)
workers.add_command(stop)


def fresh_reports(connection: Connection, seconds: float = ANSWER_SECONDS) -> list[Report]:
    """Ask all hosts to report; their reports once all that live are fresh, or `seconds` later.

    Who may only read does not ask: he is given what they last wrote.
    """
    hosts = list_hosts(connection)
    if not hosts:
        return []
    if not try_to_write(connection, ask_reports):
        return [Report.of(host, host.beat_age < SILENT_SECONDS) for host in hosts]
    before = {host.id: host.reported_at for host in hosts}
    deadline = monotonic() + seconds
    while True:
        hosts = list_hosts(connection)
        fresh = _answered(hosts, before)
        awaited = [host for host in hosts if host.beat_age < SILENT_SECONDS]
        if fresh.issuperset(host.id for host in awaited) or monotonic() > deadline:
            return [Report.of(host, host.id in fresh) for host in hosts]
        time.sleep(LOOK_SECONDS)


def _answered(hosts: Iterable[HostRow], before: dict[int, datetime | None]) -> set[int]:
    """The hosts whose report is another one than before."""
    return {
        host.id
        for host in hosts
        if host.reported_at is not None and host.reported_at != before.get(host.id)
    }


def _row(process: dict[str, Any]) -> tuple[object, ...]:
    return (
        process["host"],
        process["pid"],
        "canary" if process.get("canary") else process["role"],
        process["pool"],
        process["slot"],
        process["generation"],
        "silent" if process["silent"] else process["state"],
        process["in_flight"],
        size(process["memory_bytes"] + process.get("children_bytes", 0)),
        size(process.get("peak_bytes")),
        size(process.get("suspect_bytes_per_job")),
        "-" if process["uptime"] is None else span(process["uptime"]),
    )


def _tell_of_silence(reports: Iterable[Report]) -> None:
    reports = list(reports)
    if not reports:
        click.echo("No daemon is running on this database.", err=True)
    for report in reports:
        if not report.is_fresh:
            said = "never reported" if report.age is None else f"reported {span(report.age)} ago"
            click.echo(
                f"{one_line(report.host.name)} (master {report.host.pid}) does not answer: it last "
                f"beat {span(report.host.beat_age)} ago and {said}.",
                err=True,
            )
