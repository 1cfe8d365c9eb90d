"""Whether work goes on: plans of the hot queries, marks, letters, stalls, paused queues."""

from __future__ import annotations

from collections.abc import Iterator

from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.cli.doctor.patient import Patient
from taskd.clock import monotonic
from taskd.config.units import span
from taskd.events import counted
from taskd.store import health, statistics
from taskd.tasks.stalls import find_stalls

SLOW_LOOK_SECONDS = 0.25
"""Looking for all lanes from their start takes less than a millisecond in a clean table."""


def check_plans(patient: Patient) -> Iterator[Finding]:
    """Whether each hot query finds its index."""
    invalid = health.list_invalid_indexes(patient.connection)
    if invalid:
        yield fault("plans", f"unusable indexes: {', '.join(invalid)}", "REINDEX INDEX each")
    plans = health.explain_hot_queries(patient.connection)
    blind = [plan for plan in plans if plan.scanned]
    for plan in blind:
        tables = ", ".join(plan.scanned)
        yield fault(
            "plans",
            f"to {plan.name} all of {tables} is read: an index is missing there",
            "make it again, as `taskd schema print` shows it",
        )
    if not blind and not invalid:
        yield fine("plans", f"all {len(plans)} hot queries go by their indexes")


def check_marks(patient: Patient) -> Iterator[Finding]:
    """Whether claims have to read over much that is dead, and letters lie about."""
    began = monotonic()
    row = patient.connection.execute("SELECT count(*) FROM taskd.all_lanes_v1()").fetchone()
    took = monotonic() - began
    lanes = row[0] if row else 0
    text = f"looking at {counted(lanes, 'lane')} from the start takes {span(took)}"
    if took >= SLOW_LOOK_SECONDS:
        yield warning(
            "marks",
            f"{text}: it reads over dead entries, which workers with marks do not",
            "see cleanup: end what holds it back, then VACUUM taskd.queued",
        )
    else:
        yield fine("marks", text)
    if patient.stuck_letter is not None:
        yield warning(
            "letters",
            f"letter {patient.stuck_letter} about resources or dependencies is not worked off",
            "start a daemon; or a long transaction has written one before it: see cleanup",
        )


def check_queues(patient: Patient) -> Iterator[Finding]:
    """Where jobs could run and nothing begins; which queues are paused."""
    statistics.roll_up(patient.connection)
    stalls = find_stalls(patient.connection)
    for stall in stalls:
        yield warning("stalls", str(stall), stall.remedy)
    if not stalls:
        yield fine("stalls", "no queue stands still that could go on")
    backlog = statistics.merge_parts(statistics.fetch_backlog(patient.connection))
    paused = [each for each in backlog if each.paused]
    if paused:
        told = ", ".join(f"{each.queue} ({counted(each.queued, 'job')})" for each in paused)
        yield fine("queues", f"paused: {told}")
