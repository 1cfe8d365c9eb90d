"""The diagnostic bundle: what somebody who helps needs to see, and nothing that is a secret.

What stands in jobs (arguments, results, errors, tracebacks, log lines, headers) and the SQL of
sessions may hold anything, so none of it is read for the bundle. Connection strings lose their
passwords, schedules their arguments.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import taskd
from taskd.cli.checks.finding import Finding
from taskd.cli.config import masked
from taskd.cli.doctor.patient import Patient
from taskd.cli.failure import Failure
from taskd.cli.invocation import current
from taskd.errors import ConfigurationInvalid
from taskd.store import health, statistics
from taskd.store.failures import list_failures
from taskd.store.statistics import By
from taskd.tasks.stalls import find_stalls

HOUR, DAY = 3600.0, 86400.0
LIBRARIES = ("gevent", "greenlet", "psycopg", "psycopg-pool", "pydantic")
SERVER_SETTINGS = (
    "server_version", "max_connections", "shared_buffers", "work_mem", "maintenance_work_mem",
    "autovacuum", "autovacuum_max_workers", "autovacuum_naptime", "synchronous_commit", "fsync",
    "wal_level", "hot_standby_feedback", "idle_in_transaction_session_timeout",
    "statement_timeout", "random_page_cost", "jit", "TimeZone", "server_encoding",
)  # fmt: skip

README = """\
A look at a running taskd, written by `taskd doctor --bundle`.

findings.json     what was found, each with its remedy
environment.json  versions of taskd, Python, the system and the libraries
settings.json     the settings in effect: no passwords, no arguments of schedules
server.json       settings of PostgreSQL that matter here
hosts.json        the daemons and their processes: states, slots, memory
queues.json       what waits and runs in each queue, by required version
pools.json        workers and slots of each pool
statistics.json   what ended in the last hour and the last day, by task
failures.json     how many jobs failed in the last day, by task; not with which errors
tables.json       sizes, living and dead rows
partitions.json   the partitioned tables
horizons.json     what holds the removal of dead rows back
connections.json  how many connections are taken
stalls.json       queues in which nothing begins though it could
plans.txt         EXPLAIN of the hot queries

Not in here: arguments, results, errors, tracebacks, log lines and headers of jobs; SQL of sessions;
passwords; environment variables.
"""


def write_bundle(path: Path, patient: Patient, findings: Sequence[Finding]) -> None:
    """Write the bundle into a new file that its owner alone may read.

    Raises Failure if it cannot be written, or is there.
    """
    parts = dict(_parts(patient, findings))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in parts.items():
                _add(tar, f"taskd-doctor/{name}", text.encode())
    except FileExistsError as error:
        raise Failure(f"{path} is there already: name a new file") from error
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from error


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
    tar.addfile(entry, io.BytesIO(content))


def _parts(patient: Patient, findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    connection = patient.connection
    yield "README.txt", README
    yield "plans.txt", _plans(patient)
    contents: dict[str, Any] = {
        "findings": [asdict(finding) for finding in findings],
        "environment": _environment(),
        "settings": _settings(),
        "server": _server(patient),
        "hosts": _hosts(patient),
        "queues": [asdict(part) for part in statistics.fetch_backlog(connection)],
        "pools": [asdict(pool) for pool in statistics.list_pools(connection)],
        "statistics": _statistics(patient),
        "failures": _failures(patient),
        "tables": [asdict(table) for table in health.list_tables(connection)],
        "partitions": [asdict(table) for table in health.list_partitioned(connection)],
        "horizons": [asdict(one) for one in health.list_horizons(connection)],
        "connections": asdict(health.count_connections(connection)),
        "stalls": [stall.to_json_dict() for stall in find_stalls(connection)],
    }
    for name, content in contents.items():
        yield f"{name}.json", json.dumps(content, indent=2, default=str)


def _plans(patient: Patient) -> str:
    plans = health.explain_hot_queries(patient.connection)
    return "\n\n".join(f"-- {plan.name}\n{plan.text}" for plan in plans)


def _environment() -> dict[str, Any]:
    libraries: dict[str, str] = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            libraries[name] = version(name)
    return {
        "taskd": taskd.__version__,
        "python": sys.version,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "libraries": libraries,
    }


def _settings() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(masked(current().settings()).to_json())
    except ConfigurationInvalid as error:
        # Their sentences quote what was written there.
        return {"faults": len(error.faults)}
    for schedule in found.get("schedules", {}).values():
        for name in ("args", "kwargs"):
            if schedule.get(name):
                schedule[name] = "***"
    return found


def _server(patient: Patient) -> dict[str, str]:
    rows = patient.connection.execute(
        "SELECT s.name, s.setting || coalesce(' ' || s.unit, '') FROM pg_settings s "
        "WHERE s.name = ANY (%s) ORDER BY s.name",
        (list(SERVER_SETTINGS),),
    ).fetchall()
    return dict(rows)


def _hosts(patient: Patient) -> list[dict[str, Any]]:
    return [
        {
            "id": report.host.id,
            "name": report.host.name,
            "version": report.host.version,
            "started_at": report.host.started_at,
            "beat_age": report.host.beat_age,
            "answers": report.is_fresh,
            "processes": report.processes(),
        }
        for report in patient.reports
    ]


def _statistics(patient: Patient) -> dict[str, Any]:
    return {
        name: [one.to_json_dict() for one in statistics.summarize(patient.connection, since, by)]
        for name, since, by in (
            ("hour_by_task", HOUR, By.TASK),
            ("hour_by_queue", HOUR, By.QUEUE),
            ("day_by_task", DAY, By.TASK),
        )
    }


def _failures(patient: Patient) -> list[dict[str, Any]]:
    found = list_failures(patient.connection, DAY, limit=1000)
    return [
        {"task": group.task, "failures": group.count, "sample_job": group.sample_job}
        for group in found.groups
    ]
