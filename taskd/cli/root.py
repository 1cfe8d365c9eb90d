"""The command `taskd`: starts the daemon, unless a verb follows."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from taskd.cli.failure import expected_failures
from taskd.cli.flags import daemon_flags, flags_everywhere
from taskd.cli.invocation import Invocation
from taskd.cli.output import use_colours

VERBS = {
    "enqueue": ("taskd.cli.enqueue", "Store one job, to be run by a daemon."),
    "run": ("taskd.cli.run", "Run a function here and now, without daemon or database."),
    "jobs": (
        "taskd.cli.jobs",
        "List, show, explain, group, cancel, requeue, move and purge jobs, and read their logs.",
    ),
    "queues": ("taskd.cli.queues", "List, pause and resume queues."),
    "resources": (
        "taskd.cli.resources",
        "Show resources and limits: what is held, by which jobs, and who stands in line.",
    ),
    "schedules": ("taskd.cli.schedules", "List, run, pause, resume and preview schedules."),
    "stats": (
        "taskd.cli.stats",
        "Show rates, failures, run and wait times, and the backlog: by queue, task or pool.",
    ),
    "top": (
        "taskd.cli.top.command",
        "Watch rates, waits, the backlog, workers and failures in the terminal, live.",
    ),
    "workers": ("taskd.cli.workers", "Show every process of the running daemons, on all hosts."),
    "leaks": (
        "taskd.cli.leaks",
        "Show the tasks that leak: how much a job, and where it is allocated.",
    ),
    "stacks": (
        "taskd.cli.stacks",
        "Show where running jobs stand now, on whatever host: each greenlet's stack.",
    ),
    "heap": (
        "taskd.cli.heap",
        "Show what grows in a worker between two moments: objects by type, and containers.",
    ),
    "memory": (
        "taskd.cli.memory",
        "Show what processes have held, each with a curve, and which workers have ended why.",
    ),
    "audit": ("taskd.cli.audit", "Show who has ordered what: by command, over HTTP, from a page."),
    "tasks": ("taskd.cli.tasks", "Show what may be run: signature, docstring, options, pools."),
    "dashboard": (
        "taskd.cli.dashboard",
        "Serve metrics for Prometheus and a JSON API that shows and steers, until it is stopped.",
    ),
    "schema": (
        "taskd.cli.schema",
        "Install, upgrade, look at or print the database schema; its roles.",
    ),
    "check": (
        "taskd.cli.check",
        "Find what would keep a daemon from running well: each finding with its remedy.",
    ),
    "doctor": (
        "taskd.cli.doctor.command",
        "Look whether a running system is well, each finding with its remedy.",
    ),
    "config": ("taskd.cli.config", "Show the settings in effect, or the JSON Schema of the file."),
}
"""Verb: its module, where the command has the verb's name, and its line in the help."""

EXAMPLES = """\b
Examples:
  taskd --processes 4 --greenlets 25 --imports shop.tasks
  taskd --config taskd.yaml
  taskd enqueue shop.tasks.fetch '["https://example.org"]'
  taskd jobs list --state failed
"""


class VerbGroup(click.Group):
    """A group whose verbs are imported when they are used, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        module, _ = VERBS[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the arguments begin with; an unknown one is wrong usage."""
        if args and args[0] not in VERBS and (near := get_close_matches(args[0], VERBS)):
            ctx.fail(f"No such command {args[0]!r}: did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; expected failures become their sentence and status."""
        with expected_failures():
            return super().invoke(ctx)


@click.group(cls=VerbGroup, invoke_without_command=True, epilog=EXAMPLES)
@flags_everywhere
@daemon_flags
@click.version_option(package_name="taskd", message="taskd %(version)s")
@click.pass_context
def taskd(context: click.Context, /, **options: object) -> None:
    """Background jobs on PostgreSQL. Without a command, start the daemon.

    Flags win over the environment (TASKD_…), the environment over the file.
    """
    context.color = use_colours()
    context.obj = Invocation.of(options)
    if context.invoked_subcommand is None:
        from taskd.cli.daemon import start

        start(context.obj)
