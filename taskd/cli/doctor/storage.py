"""The database: room for connections, partitions, dead rows, and what holds cleanup back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.cli.doctor.patient import Patient
from taskd.config.units import span
from taskd.events import counted
from taskd.store import health
from taskd.store.health import Connections, Horizon, Partitioned, TableRow

CROWDED, FULL = 0.85, 0.97
OPEN_SECONDS, FORGOTTEN_SECONDS = 300.0, 3600.0
OPEN_XIDS = 1_000_000
DEAD_ROWS = 200_000
FEW_DAYS = 2


def check_connections(patient: Patient) -> Iterator[Finding]:
    """How many connections the server has left."""
    yield judge_connections(health.count_connections(patient.connection))


def judge_connections(found: Connections) -> Finding:
    """A finding for so many connections."""
    text = f"{found.used} of {found.room} are taken, {found.ours} of them by taskd"
    remedy = "raise max_connections, have fewer processes, or put PgBouncer in between"
    if found.used >= FULL * found.room:
        return fault("connections", text, remedy)
    if found.used >= CROWDED * found.room:
        return warning("connections", text, remedy)
    return fine("connections", text)


def check_partitions(patient: Patient) -> Iterator[Finding]:
    """Whether the days to come have their partitions, and the old ones are dropped."""
    yield from judge_partitions(health.list_partitioned(patient.connection))


def judge_partitions(tables: Sequence[Partitioned]) -> Iterator[Finding]:
    """Findings for these tables."""
    short = [table for table in tables if table.days_ahead < FEW_DAYS]
    for table in short:
        kind = fault if table.days_ahead < 1 else warning
        ahead = counted(max(table.days_ahead, 0), "day")
        yield kind(
            "partitions",
            f"{table.name} has partitions for {ahead} ahead",
            "a daemon makes them each hour: see its log for why it could not",
        )
    for table in tables:
        if table.detached:
            yield warning(
                "partitions",
                f"{counted(table.detached, 'partition')} of {table.name} taken off, not dropped",
                "somebody reads them: end that, and a daemon drops them within an hour",
            )
    if not short:
        least = min((table.days_ahead for table in tables), default=0)
        yield fine("partitions", f"for {least} days ahead at least")


def check_cleanup(patient: Patient) -> Iterator[Finding]:
    """What keeps dead rows from being removed, and how many there are."""
    horizons = health.list_horizons(patient.connection)
    hidden = health.count_connections(patient.connection).hidden
    yield judge_horizons(horizons, hidden)
    yield from judge_tables(health.list_tables(patient.connection), horizons)


def judge_horizons(horizons: Sequence[Horizon], hidden: int) -> Finding:
    """A finding for the oldest of what holds cleanup back."""
    unseen = (
        f"; {counted(hidden, 'session')} of other roles not seen: GRANT pg_read_all_stats"
        if hidden
        else ""
    )
    if not horizons:
        return fine("cleanup", f"no transaction holds it back{unseen}")
    oldest = horizons[0]
    text = f"{_named(oldest)} holds it back{unseen}"
    seconds = oldest.seconds or 0.0
    if seconds >= FORGOTTEN_SECONDS:
        return fault("cleanup", text, _ending(oldest))
    if seconds >= OPEN_SECONDS or oldest.xids >= OPEN_XIDS:
        return warning("cleanup", text, _ending(oldest))
    return fine("cleanup", text)


def _named(horizon: Horizon) -> str:
    lasting = "" if horizon.seconds is None else f", open for {span(horizon.seconds)}"
    details = ", ".join(filter(None, (horizon.name, horizon.state)))
    pid = "" if horizon.pid is None else f" of process {horizon.pid}"
    return f"the {horizon.kind}{pid} ({details or 'without a name'}{lasting})"


def _ending(horizon: Horizon) -> str:
    match horizon.kind:
        case "transaction":
            return f"end it, or SELECT pg_terminate_backend({horizon.pid})"
        case "prepared transaction":
            return "COMMIT PREPARED or ROLLBACK PREPARED it"
        case "replication slot":
            return "let its standby catch up, or SELECT pg_drop_replication_slot(…)"
        case _:
            return "end the long query there, or turn hot_standby_feedback off"


def judge_tables(tables: Sequence[TableRow], horizons: Sequence[Horizon]) -> Iterator[Finding]:
    """Findings for the dead rows of these tables."""
    never = [table.name for table in tables if not table.is_vacuumed]
    if never:
        yield fault(
            "dead rows",
            f"autovacuum is off for {', '.join(never[:5])}{', …' if len(never) > 5 else ''}",
            "ALTER SYSTEM SET autovacuum = on, or ALTER TABLE … RESET (autovacuum_enabled)",
        )
    dirty = [table for table in tables if table.dead > max(DEAD_ROWS, table.live)]
    for table in dirty:
        yield warning(
            "dead rows",
            f"{table.name} has about {table.dead:,} beside {table.live:,} that live",
            "end what holds cleanup back" if horizons else f"VACUUM taskd.{table.name}",
        )
    if not dirty and not never:
        most = max((table.dead for table in tables), default=0)
        yield fine("dead rows", f"{most:,} in a table at most")
