"""Further answers: logs, reasons and results of jobs; the audit log, database, memory, leaks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from taskd.store import server_health as health
from taskd.store.audit import list_audit
from taskd.store.connect import Connection
from taskd.store.ends import list_worker_ends
from taskd.store.leaks import list_leaks
from taskd.store.logs import read_log
from taskd.store.look import fetch_job
from taskd.store.memory import memory_curve
from taskd.store.rows import JobRow
from taskd.tasks.log_reader import make_filter
from taskd.tasks.why import find_reasons
from taskd.web.answers import NotThere, Values
from taskd.web.masking import masked_order
from taskd.web.source import Source


def log(source: Source, values: Values) -> dict[str, Any]:
    """What a job has logged, behind a position, first to last.

    `next_after` is where to go on, be it that there are more lines, or that more come: the job goes
    on while `is_final` is false.
    """
    wanted = make_filter(values["id"], values["attempt"], values["level"])
    limit = values["limit"]
    with source.reading() as connection:
        job = _job(connection, values["id"])
        lines = read_log(connection, wanted, values["after"], limit)
    fence, seq = (lines[-1].fence, lines[-1].seq) if lines else values["after"]
    return {
        "lines": [
            {**line.to_json_dict(), "position": f"{line.fence}.{line.seq}"} for line in lines
        ],
        "next_after": f"{fence}.{seq}",
        "more": len(lines) == limit,
        "is_final": job.state.is_final,
    }


def why(source: Source, values: Values) -> list[dict[str, Any]]:
    """Every reason why a job waits, each with the jobs that are in its way."""
    with source.looking() as connection:
        reasons = find_reasons(connection, values["id"], source.cover.call)
    if reasons is None:
        raise _unknown(values["id"])
    return [reason.to_json_dict() for reason in reasons]


def result(source: Source, values: Values) -> dict[str, Any]:
    """What a job has returned. Without `is_kept` it returned nothing, or it was dropped by now."""
    with source.reading() as connection:
        job = _job(connection, values["id"])
    is_kept = job.has_result and job.result is not None
    return {"state": job.state, "is_kept": is_kept, "result": job.result}


def audit(source: Source, values: Values) -> dict[str, Any]:
    """Who has ordered what, newest first."""
    with source.reading() as connection:
        entries = list_audit(connection, values["before"], values["limit"])
    is_full = len(entries) == values["limit"]
    return {
        "entries": [masked_order(asdict(entry), source.mask) for entry in entries],
        "next_before": entries[-1].id if is_full else None,
    }


def database(source: Source, values: Values) -> dict[str, Any]:
    """How the database itself is: dead rows, open transactions, sizes, connections."""
    with source.reading() as connection:
        return {
            "server": asdict(health.find_server(connection)),
            "tables": [asdict(table) for table in health.list_tables(connection)],
            "transactions": [asdict(each) for each in health.list_transactions(connection)],
            "connections": [asdict(each) for each in health.count_connections(connection)],
        }


def memory(source: Source, values: Values) -> dict[str, Any]:
    """What the processes of daemons have held, oldest first, and which workers have ended why.

    A worker that holds what it held has no point for that. `since` is the time of the first point;
    `truncated`: of more than `limit` points the youngest are there. A point covers `seconds`: of
    older ones there is one in a minute, or in ten.
    """
    limit = values["limit"]
    hosts = None if values["host"] is None else [values["host"]]
    chosen = {"hosts": hosts, "pool": values["pool"], "worker": values["worker"]}
    with source.reading() as connection:
        points = memory_curve(connection, values["last"], **chosen, limit=limit + 1)
        ends = list_worker_ends(connection, values["last"], **chosen)
    return {
        "points": [asdict(point) for point in points[-limit:]],
        "since": points[-limit:][0].at if points else None,
        "truncated": len(points) > limit,
        "ends": [asdict(end) for end in ends],
    }


def leaks(source: Source, values: Values) -> list[dict[str, Any]]:
    """The tasks that leak, with what a job leaves behind, in bytes; the worst first.

    `low` and `high`: between these it lies with 95 %. `source`: all workers of the pool have told,
    or a canary.
    """
    with source.reading() as connection:
        return [asdict(leak) for leak in list_leaks(connection)]


def _job(connection: Connection, job_id: int) -> JobRow:
    found = fetch_job(connection, job_id)
    if found is None:
        raise _unknown(job_id)
    return found


def _unknown(job_id: int) -> NotThere:
    return NotThere(f"job {job_id} is unknown: no such job, or its history was dropped")
