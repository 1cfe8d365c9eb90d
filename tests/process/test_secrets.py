"""A password in a connection string is seen nowhere: one real run, and all that came out of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from taskd.web.routes import PREFIX, ROUTES
from tests.process.daemon import Daemon, Project
from tests.waiting import eventually

SECRET = "hunter2-of-the-shop"

TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'taskd'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
SESSIONS = "SELECT coalesce(application_name, '') || coalesce(query, '') FROM pg_stat_activity"


@pytest.fixture
def secret_dsn(dsn: str) -> str:
    """The test's database with a password, which a server that trusts does not ask for."""
    return make_conninfo(dsn, password=SECRET)


@pytest.fixture
def secretive(project: Project, secret_dsn: str) -> Project:
    """The project, whose file has the password as the database and as that of listen."""
    project.dsn = secret_dsn
    return project


def titles_of(daemon: Daemon) -> str:
    """The command lines of all processes of a daemon, as everybody on the machine sees them."""
    pids, found = [daemon.pid], ""
    while pids:
        pid = pids.pop()
        found += Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/comm").read_text()
        for thread in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text()
            pids += [int(child) for child in children.split()]
    return found


@contextmanager
def dashboard(project: Project) -> Iterator[str]:
    log = project.folder / "dashboard.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "taskd", "dashboard", "--listen", "127.0.0.1:0"],
            cwd=project.folder,
            env=project.environment,
            stderr=stderr,
        )
    try:
        found = eventually(lambda: re.search(r"http://\S+:\d+", log.read_text()))
        yield found[0]
        title = Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.kill()
        process.wait(10)
    assert SECRET not in log.read_text() + title


def answers(url: str) -> str:
    said = ""
    paths = ["/healthz", "/readyz", "/metrics", f"{PREFIX}/openapi.json", f"{PREFIX}/nothing"]
    for path in [*paths, *(PREFIX + route.path.replace("<id>", "1") for route in ROUTES)]:
        try:
            said += urlopen(url + path, timeout=10).read().decode()
        except HTTPError as error:
            said += error.read().decode()
    return said


def contents(dsn: str) -> str:
    """All that the database holds, and what the server says of who is connected."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = str(connection.execute(SESSIONS).fetchall())
        for (table,) in connection.execute(TABLES).fetchall():
            query = psycopg.sql.SQL("SELECT t::text FROM {} t")
            name = psycopg.sql.Identifier("taskd", table)
            found += str(connection.execute(query.format(name)).fetchall())
    return found


COMMANDS = (
    ("config", "show"),
    ("config", "show", "--json"),
    ("check",),
    ("check", "--json"),
    ("jobs", "list", "--json"),
    ("jobs", "show", "1", "--json"),
    ("jobs", "show", "2"),
    ("queues", "list", "--json"),
    ("workers", "--json"),
    ("tasks", "--json"),
    ("stats", "--json"),
    ("schema", "status", "--json"),
)


def test_a_whole_run_shows_the_password_nowhere(secretive: Project, dsn: str) -> None:
    secretive.write(
        "taskd.yaml",
        f"""
        database: {secretive.dsn}
        listen: {secretive.dsn}
        imports: [shop]
        pools: {{io: {{processes: 1}}, cpu: {{queues: [cpu], processes: 1}}}}
        log: {{level: debug}}
        """,
    )
    flags = ("--database", secretive.dsn)
    daemon = secretive.start(*flags)
    secretive.enqueue("shop.add", 1, 2)
    secretive.enqueue("shop.fail", "no secret")
    secretive.wait_for_states(succeeded=1, failed=1)

    titles = titles_of(daemon)
    said = [secretive.taskd(*words) for words in COMMANDS]
    with dashboard(secretive) as url:
        answered = answers(url)
    daemon.signal(signal.SIGUSR2)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log("generation 2: all workers are replaced")
    stored = contents(dsn)
    daemon.stop()

    printed = "".join(one.stdout + one.stderr for one in said)
    assert all(one.returncode in (0, 1) for one in said), printed
    assert "***" in printed
    assert "taskd: master" in titles
    assert "openapi" in answered
    files = "".join(
        file.read_text(errors="replace")
        for file in (secretive.folder / "state").rglob("*")
        if file.is_file()
    )
    for shown in (titles, printed, answered, daemon.log(), stored, files):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "broken",
    [
        f"postgresql://shop:{SECRET}@127.0.0.1:1/shop",
        f"postgresql://shop:{SECRET}@no host/shop",
        f"postgresql://shop:{SECRET}@127.0.0.1:99999/shop",
        f"postgresql://shop:{SECRET}%zz@127.0.0.1/shop",
        f"host=127.0.0.1 port=1 password='{SECRET} and more",
        f"host=127.0.0.1 port=1 password={SECRET} dbname=shop options",
        f"postgresql://shop@127.0.0.1:1/shop?password={SECRET}",
        f"mysql://shop:{SECRET}@127.0.0.1/shop",
    ],
)
def test_a_connection_string_that_does_not_work_is_not_quoted(
    project: Project, broken: str
) -> None:
    project.dsn = broken
    enqueue = "from shop import add; add.enqueue(1, 2)"

    said = [
        project.taskd("--database", broken, "check", "--json"),
        subprocess.run(
            [sys.executable, "-c", enqueue],
            cwd=project.folder,
            env=project.environment,
            capture_output=True,
            text=True,
            check=False,
        ),
    ]

    assert all(one.returncode for one in said)
    assert SECRET not in "".join(one.stdout + one.stderr for one in said)


def test_a_daemon_that_cannot_connect_says_so_without_the_password(
    project: Project, secret_dsn: str
) -> None:
    project.dsn = make_conninfo(secret_dsn, dbname="nowhere")
    daemon = project.start(ready=False)

    assert daemon.wait() == 1

    assert "does not exist" in daemon.log()
    assert SECRET not in daemon.log()
