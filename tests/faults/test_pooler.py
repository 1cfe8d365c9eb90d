"""Through PgBouncer in transaction mode, and with nothing that would pin a pooled connection."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from taskd.store.schedules import pause_schedule
from tests.faults import sizes
from tests.faults.host import CONFIG, REPOSITORY
from tests.faults.ledger import SHOP
from tests.faults.plan import make_plan
from tests.faults.postgres import HARNESS, Postgres, running_postgres
from tests.faults.process_faults import kill, process_faults
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.faults.statements import LOGGING, LONGEST_TEXT, Statement, log_size, read_statements
from tests.faults.visits import (
    NOT_ASKED,
    VERBS,
    all_verbs,
    ask_every_page,
    be_a_client,
    call_every_verb,
)
from tests.servers import PGBOUNCER, Account, RunningServer, start_pgbouncer

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

OpenHosts = Callable[..., Stand]

SCHEDULED = (
    CONFIG
    + """schedules:
  often: {{task: tests.faults.work.note, every: 1s, args: [0.0]}}
"""
)

# How PgBouncer itself tells a server process who its next client is.
_KEPT_PER_CLIENT = "application_name|client_encoding|datestyle|standard_conforming_strings|timezone"
OF_PGBOUNCER = re.compile(rf"(?:SET (?:{_KEPT_PER_CLIENT})='[^']*';)+", re.IGNORECASE)

# Statements without which nothing was looked at; all of many lines among them.
WELL_KNOWN = ("claim_jobs", "beat", "rescue_workers", "enqueue_jobs", "complete")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with running_postgres(**LOGGING) as running:
        running.install_schema()
        yield running


@pytest.fixture
def bouncer(postgres: Postgres) -> Iterator[RunningServer]:
    running = start_pgbouncer(postgres.dsn)
    yield running
    running.stop()


def restart(bouncer: RunningServer) -> None:
    """Kill the pooler and start it again: every connection through it is cut."""
    bouncer.process.kill()
    bouncer.process.wait(10)
    (bouncer.folder / ".s.PGSQL.6432").unlink(missing_ok=True)
    command = [PGBOUNCER, bouncer.folder / "pgbouncer.ini"]
    bouncer.process = subprocess.Popen(command, cwd="/", **Account.unprivileged().popen)


def test_hosts_behind_a_pooler_with_and_without_listen_lose_nothing(
    postgres: Postgres, bouncer: RunningServer, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    pooled = psycopg.conninfo.make_conninfo(bouncer.dsn, dbname="postgres")
    listens = [{"TASKD_LISTEN": postgres.dsn}, {"TASKD_LISTEN": "false"}]
    stand = open_hosts(pooled, ledger_dsn=postgres.dsn, lease=5.0, variables=listens)

    with stand.load(80, seconds=0.1):
        time.sleep(4.0)
        kill(stand, random.Random(seed), role="worker io", number=signal.SIGKILL)
        time.sleep(2.0)
        restart(bouncer)
        time.sleep(2.0)
    verdict = stand.settle()

    report.add_verdict("PgBouncer", verdict)
    assert verdict.faults == {}, stand.logs()
    assert verdict.unexplained == 0


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("SET jit = off", True),
        ("BEGIN; SET LOCAL jit = off", True),
        ("-- why\nSET jit = off", True),
        ("SELECT 1,\n    set_config('jit', 'off', true)", True),
        ("INSERT INTO x\nSELECT nextval('y')", True),
        ("SELECT pg_advisory_lock(1)", True),
        ("CREATE TEMP TABLE x ()", True),
        ("SELECT '" + "x" * LONGEST_TEXT + "'", True),
        ("SELECT '--', set_config('a', 'b', true)", True),
        ("SELECT '/*', nextval('y'), '*/'", True),
        ("SELECT 1 AS \"it's\", set_config('a', 'b', true) AS \"it's\"", True),
        ("CREATE TEMP RECURSIVE VIEW x (n) AS SELECT 1", True),
        ("UPDATE x\nSET y = 1", False),
        ("SELECT 1 -- it's\n, 'set_config(' -- it's", False),
        ("SELECT 'SET; SET jit = off', pg_advisory_xact_lock(1)", False),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", False),
        ("SELECT taskd.limit_statements_v1($1)", False),
    ],
)
def test_what_pins_is_found_in_all_lines_of_a_statement(text: str, pins: bool) -> None:
    assert Statement("taskd", text).pins is pins


def test_a_line_that_the_server_has_half_written_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    whole = json.dumps({"message": "statement: SELECT 1", "application_name": "taskd"})
    (tmp_path / "log" / "server.json").write_text(f"{whole}\n{whole[:20]}")

    assert list(read_statements(tmp_path)) == [Statement("taskd", "SELECT 1")]


def test_every_verb_is_known_to_the_harness() -> None:
    assert set(all_verbs()) == {*VERBS, *NOT_ASKED}


def test_nothing_that_anybody_sends_pins_a_connection_of_a_pooler(
    postgres: Postgres, bouncer: RunningServer, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    begin = log_size(postgres.data)
    ours = psycopg.conninfo.make_conninfo(postgres.dsn, application_name=HARNESS)
    pooled = psycopg.conninfo.make_conninfo(bouncer.dsn, dbname="postgres")
    stand = open_hosts(
        pooled,
        ledger_dsn=ours,
        lease=2.0,
        config=SCHEDULED,
        variables=[{"TASKD_LISTEN": "false"}],
    )
    faults = process_faults(away=4.0)
    plan = make_plan(list(faults), count=2 * len(faults), seconds=8.0, seed=seed)

    with stand.load(60, seconds=0.1):
        stand.run(plan, faults)
        one, other = be_a_client(pooled, REPOSITORY)
        config = stand.hosts[0].folder / "taskd.yaml"
        first, *_, last = stand.living_workers()
        found = "SELECT host FROM taskd.worker WHERE id = %(worker)s"
        ((its_host,),) = stand.ledger.query(found, {"worker": first})
        refused = ask_every_page(pooled, one, first, its_host)
        failed = call_every_verb(config, pooled, other, last)
    with psycopg.connect(ours) as connection:
        pause_schedule(connection, "often")  # or its next job may wait when the others have ended
    verdict = stand.settle()
    for host in stand.hosts:
        host.stop()

    logged = read_statements(postgres.data, begin)
    theirs = [one for one in logged if one.client != HARNESS]
    sent = [one for one in theirs if not OF_PGBOUNCER.fullmatch(one.text)]
    pinning = {one for one in sent if one.pins}
    texts = {one.text for one in sent}
    longest = max(map(len, texts))
    clients = sorted({one.client.partition("/")[0] for one in sent})
    what = (
        f"{len(sent)} statements, {len(texts)} different, longest {longest} characters; {clients}"
    )
    report.add("what pins RDS Proxy", "none sent", what, not pinning)
    assert pinning == set()
    assert (refused, failed) == ({}, {})
    assert verdict.faults == {}
    assert [name for name in WELL_KNOWN if not any(name in text for text in texts)] == []
    assert any("\n" in text for text in texts)
    assert {"taskd io", "taskd cli", "taskd client", SHOP} <= set(clients)
