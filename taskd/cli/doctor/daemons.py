"""The daemons: which versions run, whether they keep their leases, how late their clocks are."""

from __future__ import annotations

from collections.abc import Iterator

import taskd
from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.cli.doctor.patient import Patient, clock_of
from taskd.clock import utc_now
from taskd.config.units import span
from taskd.events import counted
from taskd.store import schema
from taskd.store.hosts import SILENT_SECONDS, HostRow

LEASE_SECONDS = 15.0
CLOCK_SECONDS, WRONG_CLOCK_SECONDS = 1.0, 30.0
SYNCHRONISE = "let it follow a time server: `timedatectl set-ntp true`"


def check_versions(patient: Patient) -> Iterator[Finding]:
    """The server, the schema, and the daemons' taskd beside this one."""
    number = patient.connection.info.server_version
    found = schema.check_compatible(patient.connection)
    yield fine(
        "versions",
        f"taskd {taskd.__version__}, schema {found.version}, "
        f"PostgreSQL {number // 10000}.{number % 10000}",
    )
    others = {one.host.version for one in patient.living if one.host.version != taskd.__version__}
    if others:
        hosts = [f"{r.host.name} {r.host.version}" for r in patient.living]
        yield warning(
            "versions",
            f"this command is taskd {taskd.__version__}, and there run {', '.join(hosts)}",
            "end the upgrade: restart the daemons of the older version",
        )


def check_leases(patient: Patient) -> Iterator[Finding]:
    """When each daemon last said that it lives."""
    if not patient.reports:
        yield warning("daemons", "no daemon runs on this database", "start one: `taskd`")
        return
    others_live = bool(patient.living)
    for report in patient.reports:
        yield from _of_host(report.host, report.is_fresh, others_live)


def _of_host(host: HostRow, answers: bool, others_live: bool) -> Iterator[Finding]:
    name = f"{host.name} (host {host.id}, master {host.pid})"
    ago = span(host.beat_age)
    if host.beat_age >= SILENT_SECONDS:
        rescuer = (
            "and no other host has given its jobs back" if others_live else "and no other lives"
        )
        yield fault(
            "daemons",
            f"{name} has not beaten for {ago}, {rescuer}",
            "see its log; a daemon that is started takes its jobs over",
        )
    elif host.beat_age >= LEASE_SECONDS:
        yield warning(
            "daemons",
            f"{name} last beat {ago} ago, longer than a lease",
            "see whether it is stopped or overloaded, or cut from the database",
        )
    elif not answers:
        yield warning(
            "daemons",
            f"{name} beats, {ago} ago, but did not report its processes when it was asked",
            "see its log for what its maintenance says",
        )
    else:
        yield fine("daemons", f"{name} last beat {ago} ago")


def check_clocks(patient: Patient) -> Iterator[Finding]:
    """The clocks of this machine and of the hosts against the database's."""
    offsets = {"this machine": _own_offset(patient)}
    for report in patient.living:
        offset = clock_of(report)
        if offset is not None:
            offsets[f"{report.host.name} (host {report.host.id})"] = offset
    wrong = {name: off for name, off in offsets.items() if abs(off) >= CLOCK_SECONDS}
    for name, offset in wrong.items():
        side = "ahead of" if offset > 0 else "behind"
        text = f"the clock of {name} is {span(abs(offset))} {side} the database's"
        kind = fault if abs(offset) >= WRONG_CLOCK_SECONDS else warning
        yield kind("clocks", text, SYNCHRONISE)
    if not wrong:
        most = max(abs(offset) for offset in offsets.values())
        yield fine(
            "clocks",
            f"{counted(len(offsets), 'clock')}, {span(most)} off the database's at most",
        )


def _own_offset(patient: Patient) -> float:
    before = utc_now()
    row = patient.connection.execute("SELECT clock_timestamp()").fetchone()
    after = utc_now()
    if row is None:
        raise AssertionError("a SELECT returned no row")
    return float(((before + (after - before) / 2) - row[0]).total_seconds())
