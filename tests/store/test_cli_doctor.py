"""`taskd doctor` on a real database, with daemons played by the test."""

from __future__ import annotations

import json
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

import taskd
from taskd.clock import utc_now
from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, NewJobs
from tests.commands import run_taskd
from tests.store.makers import add_jobs, add_worker, claim, fence_of
from tests.store.test_stalls import let_time_pass

SECRET = "hunter2-secret"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def host(connection: Connection) -> int:
    """A daemon of this very version, with one worker."""
    host = hosts.register_host(connection, uuid4(), "here", 1, taskd.__version__)
    add_worker(connection, host)
    return host


@contextmanager
def answering(dsn: str, host: int, clock_off: float = 0.0) -> Iterator[None]:
    """A host that reports when it is asked."""
    stop = threading.Event()

    def answer() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.is_set():
                if hosts.take_reports(connection, host):
                    master = {"pid": 1, "role": "master", "state": "running", "in_flight": 0,
                              "pool": None, "slot": None, "generation": None,
                              "memory_bytes": 1, "started": utc_now().isoformat()}  # fmt: skip
                    master["clock"] = (utc_now() + timedelta(seconds=clock_off)).isoformat()
                    hosts.write_report(connection, host, json.dumps([master]))
                stop.wait(0.02)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def doctor(dsn: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit status, and the findings that are not fine, by subject."""
    result = run_taskd("--database", dsn, "doctor", "--json")
    wrong: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.stdout):
        if finding["level"] != "ok":
            assert finding["remedy"]
            wrong.setdefault(finding["subject"], []).append(finding)
    return result.exit_code, wrong


def test_a_system_that_is_well_has_status_0(dsn: str, host: int) -> None:
    with answering(dsn, host):
        result = run_taskd("--database", dsn, "doctor")

    assert result.exit_code == 0, result.output
    subjects = [line.split()[1] for line in result.stdout.splitlines()]
    assert subjects == [
        "versions", "daemons", "clocks", "connections", "partitions", "cleanup", "dead", "plans",
        "marks", "stalls",
    ]  # fmt: skip


@pytest.mark.one_server
def test_all_that_is_wrong_is_told_with_a_remedy(
    dsn: str,
    connection: Connection,
    connect_again: Callable[[], Connection],
    host: int,
) -> None:
    add_jobs(connection, 2, queue="mail")
    let_time_pass(connection)
    connection.execute("UPDATE taskd.host SET version = '0.0.1'")
    dead = add_worker(connection)
    connection.execute(
        "UPDATE taskd.host SET beat_at = now() - interval '2 min' "
        "WHERE id = (SELECT host FROM taskd.worker WHERE id = %s)",
        (dead,),
    )
    connection.execute("DROP INDEX taskd.running_worker")
    connection.execute("ALTER TABLE taskd.mail SET (autovacuum_enabled = false)")
    connection.execute("UPDATE taskd.worker SET queues = '{default}'")
    holder = connect_again()
    with holder.transaction(), answering(dsn, host, clock_off=-90.0):
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM taskd.queued")
        status, wrong = doctor(dsn)
        told = run_taskd("--database", dsn, "doctor").stdout

    assert status == 1
    assert wrong.keys() == {"versions", "daemons", "clocks", "dead rows", "plans", "stalls"}
    (versions,) = wrong["versions"]
    assert "here 0.0.1" in versions["text"]
    (silent,) = wrong["daemons"]
    assert silent["level"] == "fault"
    assert "has not beaten for 2 min" in silent["text"]
    (clock,) = wrong["clocks"]
    assert clock["text"].startswith(f"the clock of here (host {host}) is 1 min 30 s behind")
    (plan,) = wrong["plans"]
    assert plan["text"].startswith("to rescue workers all of running is read")
    (stall,) = wrong["stalls"]
    assert stall["text"].startswith("queue mail: 2 jobs wait")
    assert "autovacuum is off for mail" in wrong["dead rows"][0]["text"]
    assert f"the transaction of process {holder.info.backend_pid} (taskd, idle in" in told


@pytest.mark.one_server
def test_without_a_daemon_that_is_wrong(dsn: str) -> None:
    status, wrong = doctor(dsn)

    assert (status, list(wrong)) == (1, ["daemons"])


@pytest.mark.one_server
def test_a_letter_that_nobody_works_off_is_told(dsn: str, connection: Connection) -> None:
    connection.execute("INSERT INTO taskd.mail (kind, ids) VALUES ('c', '{1}')")

    _, wrong = doctor(dsn)

    assert "is not worked off" in wrong["letters"][0]["text"]


@pytest.mark.one_server
def test_the_bundle_holds_what_helps_and_no_secret(
    dsn: str, connection: Connection, host: int, tmp_path: Path
) -> None:
    Path("taskd.yaml").write_text(
        f"database: {dsn}\nimports: [shop]\npools: {{io: {{processes: 1}}}}\n"
        f"listen: postgresql://me:{SECRET}@db.example/shop\n"
        f"schedules: {{night: {{cron: '0 1 * * *', task: shop.a, args: [{SECRET}]}}}}\n"
    )
    args, kwargs = json.dumps([SECRET]), json.dumps({"k": SECRET})
    extra = json.dumps({"headers": {"h": SECRET}})
    new = NewJobs("shop.sync", [args] * 2, [kwargs] * 2, extra=extra)
    jobs.enqueue_jobs(connection, new)
    worker = add_worker(connection, host)
    first, second = claim(connection, worker)
    ends = [
        JobEnd(first[0], fence_of(first), 0.1, "f", None, f"ValueError: {SECRET}", SECRET),
        JobEnd(second[0], fence_of(second), 0.1, "s", json.dumps(SECRET)),
    ]
    jobs.complete_jobs(connection, worker, ends)
    bundle = tmp_path / "out.tar.gz"

    with answering(dsn, host):
        result = run_taskd(
            "--config", "taskd.yaml", "doctor", "--bundle", str(bundle), PGPASSWORD=SECRET
        )

    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    with tarfile.open(bundle) as tar:
        files = {Path(name).name: tar.extractfile(name) for name in tar.getnames()}
        contents = {name: file.read().decode() for name, file in files.items() if file}
    assert all(SECRET not in text for text in contents.values())
    for name in contents:
        if name.endswith(".json"):
            json.loads(contents[name])
        if name != "README.txt":
            assert name in contents["README.txt"]
    (failed,) = json.loads(contents["failures.json"])
    assert (failed["task"], failed["failures"]) == ("shop.sync", 1)
    assert "queued_pkey" in contents["plans.txt"]
    assert json.loads(contents["settings.json"])["schedules"]["night"]["args"] == "***"

    again = run_taskd("--database", dsn, "doctor", "--bundle", str(bundle))
    assert again.exit_code == 1
    assert "is there already" in again.stderr
