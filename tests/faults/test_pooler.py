"""Through PgBouncer in transaction mode, and with nothing that would pin a pooled connection."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.faults import sizes
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.process_faults import kill
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.servers import PGBOUNCER, Account, RunningServer, start_pgbouncer

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

OpenHosts = Callable[..., Stand]

# What makes RDS Proxy give a client a server connection for itself alone. What functions do inside
# is none of it. A long text is one as well; values are no part of the text.
PINS = re.compile(
    r"^\s*(SET|RESET|PREPARE|DEALLOCATE|LISTEN|UNLISTEN|DECLARE|LOCK|DISCARD)\b"
    r"|\bpg_(try_)?advisory_(lock|unlock)|\b(TEMP|TEMPORARY)\s+(TABLE|VIEW|SEQUENCE)"
    r"|\b(nextval|setval|currval|lastval|set_config)\s*\(",
    re.IGNORECASE,
)
LONGEST_TEXT = 16 * 1024
STATEMENT = re.compile(r"\|taskd[^|]*\|LOG:  (?:statement|execute ([^:]*)): (.*)")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with running_postgres(log_statement="all", log_line_prefix="|%a|") as running:
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


def statements(postgres: Postgres) -> list[tuple[str, str]]:
    """What taskd has sent: the name it was prepared under, and its text."""
    found = (STATEMENT.search(line) for line in postgres.log().splitlines())
    return [(match[1] or "", match[2]) for match in found if match]


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


def test_no_statement_pins_a_connection_of_a_pooler(
    postgres: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=5.0, variables=[{"TASKD_LISTEN": "false"}])

    with stand.load(60, seconds=0.1):
        time.sleep(4.0)
    verdict = stand.settle()
    for host in stand.hosts:
        host.stop()

    sent = statements(postgres)
    pinning = {text for name, text in sent if PINS.search(text) or name not in ("", "<unnamed>")}
    longest = max(len(text) for _, text in sent)
    what = f"{len(sent)} statements, {len(set(sent))} different, longest {longest} characters"
    report.add("what pins RDS Proxy", "none sent", what, not pinning)
    assert verdict.faults == {}
    assert len(set(sent)) > 20
    assert pinning == set()
    assert longest < LONGEST_TEXT
