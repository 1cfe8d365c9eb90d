"""A shop whose daemon works and whose dashboard answers: what the pages are tried on."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from taskd.store import queues, statistics
from tests.process.daemon import Project, open_project
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io: {processes: 2, greenlets: 5, queues: [default, mail]}
  cpu: {processes: 1, greenlets: 1, queues: [reports]}
schedules:
  nightly: {task: shop.report, cron: "30 3 * * *", timezone: Europe/Berlin, args: [eu]}
  sync: {task: shop.sync, every: 12h, args: ["https://remote.example/catalog"]}
"""
WORKERS = 3
"""The processes of its pools."""
SHOP = '''
import logging
import time
from pathlib import Path

from taskd import current_job, exclusive, task

log = logging.getLogger("shop")


@task
def fetch(url, depth=1):
    """Fetch a page and count its links.

    Follows them up to `depth`.
    """
    log.info("fetching %s", url)
    return {"url": url, "links": 42}


@task(resources=lambda name, until: [exclusive(f"repo:{name}")])
def mirror(name, until):
    """Mirror a repository; ends when the file `until` is there."""
    log.info("mirroring %s", name)
    step = 0
    while not Path(until).exists():
        step = min(step + 1, 60)
        current_job().progress(step / 100, f"{step} of 100 packages")
        if step < 20:
            log.info("package %d of %s", step, name)
        time.sleep(0.05)
    log.warning("the remote was slow")
    return "done"


@task
def sync(url):
    """Fetch the catalog of a remote."""
    raise ConnectionError(f"{url} answered 503 after {len(url)} tries")


@task(queue="mail")
def send(to, subject="", body=""):
    """Send one mail."""
    log.info("to %s: %s", to, subject)


@task(queue="reports")
def report(region):
    """Add up what was sold in a region."""
    return 1


@task
def heal(cure):
    """Succeeds once the file `cure` is there."""
    return Path(cure).read_text()


@task
def echo(text):
    log.error("heard %s", text)
    raise ValueError(text)
'''


@dataclass
class Stand:
    """The shop, and where its dashboard is. `gate`: jobs of shop.mirror go on until it exists."""

    project: Project
    url: str

    @property
    def gate(self) -> Path:
        return self.project.folder / "gate"

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.project.dsn, autocommit=True) as connection:
            yield connection

    def enqueue(self, task: str, *arguments: Any, queue: str = "default") -> int:
        (job,) = self.project.enqueue_many(task, [arguments], queue)
        return job

    def call(self, script: str) -> list[int]:
        """The ids that a client of the shop prints."""
        self.project.write("client.py", f"from shop import *\nfrom taskd import *\n{script}")
        return [int(word) for word in self.project.python("client.py").split()]

    def wait_until_its_workers_are_told(self) -> None:
        (daemon,) = self.project.daemons
        eventually(lambda: len(daemon.pids("worker")) == WORKERS)

    def wait_until(self, job: int, state: str) -> None:
        def is_there() -> bool:
            rows = self.project.query("SELECT state FROM taskd.job WHERE id = %s", job)
            return rows == [(state,)]

        eventually(is_there)


@contextmanager
def shop(folder: Path, dsn: str) -> Iterator[Stand]:
    """A shop that has been open for a while, with something of each kind in it."""
    for project in open_project(folder, dsn):
        project.write("taskd.yaml", CONFIG)
        project.write("shop.py", SHOP)
        project.start()
        with dashboard(project) as url:
            stand = Stand(project, url)
            stand.wait_until_its_workers_are_told()
            with stand.connected() as connection:
                add_history(connection)
            fill(stand)
            yield stand
            stand.gate.touch()  # what runs may end


def fill(stand: Stand) -> None:
    """Jobs in each state; the one of `repo:debian` runs on, and another waits for it."""
    enqueue = stand.project.enqueue_many
    enqueue("shop.fetch", [(f"https://example.org/{n}",) for n in range(60)])
    enqueue("shop.sync", [(f"https://remote-{n}.example/catalog",) for n in range(6)])
    with stand.connected() as connection:
        queues.pause_queue(connection, "mail")
    enqueue("shop.send", [(f"user{n}@example.org", "Your order") for n in range(9)], "mail")
    held, _ = stand.call(
        "for _ in range(2): print(mirror.enqueue('debian', 'gate').id)\n"
        "report.options(delay=7200).enqueue('asia')\n"
        "chain(fetch.call('https://example.org/first'), send.call('boss@example.org')).enqueue()"
    )
    stand.wait_until(held, "running")


def add_history(connection: psycopg.Connection[Any], minutes: int = 15) -> None:
    """What ended and waited in the last minutes, as completions and maintenance leave it."""
    chance = random.Random(7)
    for minute in range(minutes + 1):
        pace = 500 + round(220 * chance.random()) - 12 * minute
        pace *= 1 if minute else time.time() % 60 / 60  # the one that goes on
        late = 0.02 + (0.5 if minute in (5, 6) else 0.03 * chance.random())
        for task, part, fails in (("shop.fetch", 0.7, 0.004), ("shop.sync", 0.3, 0.05)):
            _add_tally(connection, minute, task, "s", round(pace * part), late, chance)
            _add_tally(connection, minute, task, "f", round(pace * part * fails), late, chance)
        for queue, most in (("default", 12), ("mail", 9)):
            burst = 20 if minute in (4, 5, 6) else 1
            waited = round(most * burst * (0.4 + 0.6 * chance.random()))
            connection.execute(
                "INSERT INTO taskd.backlog (at, queue, state, jobs, is_exact, age) "
                "SELECT date_trunc('minute', now()) - %s * interval '1 minute', "
                "%s, 'queued', %s, true, %s ON CONFLICT DO NOTHING",
                (minute, queue, waited, late * 30 * (1 + chance.random())),
            )
    statistics.roll_up(connection)


def _add_tally(
    connection: psycopg.Connection[Any],
    minute: int,
    task: str,
    outcome: str,
    count: int,
    late: float,
    chance: random.Random,
) -> None:
    runs = [chance.lognormvariate(-1.5, 0.7) for _ in range(count)]
    waits = [late * chance.lognormvariate(0, 0.8) for _ in range(count)]
    connection.execute(
        "INSERT INTO taskd.tally (at, outcome, queue, task, runs, waits) VALUES "
        "(now() - %s * interval '1 minute', %s, 'default', %s, %s::real[], %s::real[])",
        (minute, outcome, task, runs, waits),
    )


@contextmanager
def dashboard(project: Project, *flags: str) -> Iterator[str]:
    """The address of a dashboard."""
    log = project.folder / f"dashboard-{len(flags)}.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "taskd", "dashboard", "--listen", "127.0.0.1:0", *flags],
            cwd=project.folder,
            env=project.environment,
            stderr=stderr,
        )
    try:
        yield eventually(lambda: re.search(r"http://\S+:\d+", log.read_text()))[0]
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text()
