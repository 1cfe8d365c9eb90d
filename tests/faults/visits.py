"""Every verb of the command line and every page of the dashboard, asked once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from taskd.cli.root import taskd
from taskd.web.openapi import describe_api
from tests.commands import run_taskd
from tests.store.serving import served

# What each verb is given; {job} and {worker} are ids.
VERBS = {
    "audit": "",
    "enqueue": "tests.faults.work.note [0.0]",
    "run": "tests.faults.visits.nothing",
    "jobs acknowledge": "nothing --task tests.faults.work.note",
    "jobs cancel": "--queue elsewhere",
    "jobs failures": "",
    "jobs list": "--since 1h",
    "jobs logs": "{job}",
    "jobs mute": "nothing --task tests.faults.work.note",
    "jobs note": "nothing known --task tests.faults.work.note",
    "jobs move": "--queue elsewhere --to default",
    "jobs purge": "--older-than 1d",
    "jobs requeue": "--state failed",
    "jobs show": "{job}",
    "jobs why": "{job}",
    "memory": "",
    "queues list": "",
    "queues pause": "elsewhere",
    "queues resume": "elsewhere",
    "resources": "",
    "schedules list": "",
    "schedules pause": "often",
    "schedules preview": "often",
    "schedules resume": "often",
    "schedules run": "often",
    "stats": "",
    "top": "--once",
    "workers drain": "{worker}",
    "leaks hunt": "--task tests.faults.work.note",
    "stacks": "io",
    "heap": "cpu --seconds 1s",
    "tasks": "",
    "check": "",
    "doctor": "",
    "schema status": "",
}
# Those ask no database, or are an administrator's, who connects to the server itself; or send what
# another sends, of a worker that is drained by then.
NOT_ASKED = {
    "config schema",
    "config show",
    "schema print",
    "dashboard",
    "schema install",
    "schema upgrade",
    "schema roles",
    "workers stop",
}
TOKEN = "operators-0123456789"


def nothing() -> None:
    """What `taskd run` runs."""


def all_verbs(command: click.Command = taskd, words: tuple[str, ...] = ()) -> Iterator[str]:
    """The verbs that there are."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from all_verbs(found, (*words, name))
    else:
        yield " ".join(words)


def call_every_verb(config: Path, dsn: str, job: int, worker: int) -> dict[str, str]:
    """Call each once; what went wrong, by verb."""
    failed = {}
    for verb, arguments in VERBS.items():
        words = (*verb.split(), *arguments.format(job=job, worker=worker).split())
        result = run_taskd(
            *words, TASKD_CONFIG=str(config), TASKD_DATABASE=dsn, TASKD_LISTEN="false"
        )
        if result.exit_code != 0:
            failed[verb] = result.output
    return failed


def ask_every_page(dsn: str, job: int, worker: int, host: int) -> dict[str, int]:
    """Ask for all that the pages ask for, and give the orders that they may give; the refusals."""
    refused = {}
    ids = {"/workers": worker, "/hosts": host}
    paths: dict[str, dict[str, object]] = describe_api(has_token=True)["paths"]
    with served(dsn) as dashboard:
        for path in sorted(paths, key=lambda path: path.startswith("/hosts")):  # ends its workers
            methods, kind = paths[path], "/" + path.split("/")[1]
            filled = path.format(id=ids.get(kind, job), queue="none", name="often")
            if "get" in methods and path != "/live":
                query = {"name": "often"} if path.endswith("/preview") else {}
                answer = dashboard.ask(filled, **query)
                if answer.status >= 400:
                    refused[f"GET {path}"] = answer.status
            if "post" in methods and path != "/session" and not path.endswith("/stop"):
                answer = dashboard.ask(filled, _order(path, job))
                if answer.status not in (200, 409):  # the schedule's last job may still run
                    refused[f"POST {path}"] = answer.status
        with dashboard.watching() as news:
            assert news.readline()
    return refused


def _order(path: str, job: int) -> dict[str, object]:
    if path.startswith("/failures"):
        return {"cause": "nothing", **({"note": "x"} if path.endswith("/note") else {})}
    if path == "/leaks/hunt":
        return {"task": "tests.faults.work.note"}
    to = {"to": "default"} if path.endswith("/move") else {}
    return {"ids": [job], **to} if path.startswith("/jobs") else to


CLIENT = """
from taskd import chain, configure, enqueue_many
from tests.faults import work

job = work.note.enqueue(0.0)
job.result(timeout=30)
job.refresh(), job.progress, job.stacks(), list(job.logs(follow=True))
later = work.note.options(delay=60).enqueue(0.0)
later.why(), later.cancel()
print(job.id, job.requeue().id)
enqueue_many(work.note, [(0.0,)] * 300)
chain(work.note.call(0.0), work.note.call(0.0)).enqueue().result(timeout=30)
"""


def be_a_client(dsn: str, repository: Path) -> tuple[int, int]:
    """Enqueue and look from a program that is no daemon's; the ids of two jobs of its own."""
    environment = {"TASKD_DATABASE": dsn, "TASKD_LISTEN": "false", "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", CLIENT]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert ran.returncode == 0, ran.stderr
    one, other = map(int, ran.stdout.split())
    return one, other
