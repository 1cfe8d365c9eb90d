"""The flags of the daemon, declared once: for `taskd` itself and for its reload.

Their values stay text here; the configuration checks them as it checks the file, so that a flag and
a line of the file get the same sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_EVERYWHERE = {
    "--config": ("FILE", "The configuration.  [default: TASKD_CONFIG, or ./taskd.yaml]"),
    "--database": ("DSN", "The database with the jobs.  [default: an embedded PostgreSQL]"),
    "--state-dir": ("DIR", "Where the embedded PostgreSQL and running daemons keep their files."),
}
_DAEMON = {
    "--processes": ("N", "Worker processes of the pool."),
    "--greenlets": ("N", "Jobs at once in each worker; `none`: one job a process, for CPU work."),
    "--queues": ("A,B", "The queues it serves, the most urgent first; or A=5,B=1.  [default: all]"),
    "--imports": ("A.B,C", "Modules whose functions may be run, with all inside them."),
    "--listen": (
        "DSN|false",
        "Where to LISTEN, past a pooler; false: poll.  [default: --database]",
    ),
    "--max-args": ("SIZE", "How large the arguments of one job may be.  [default: 1MiB]"),
    "--pid-file": ("FILE", "Holds the master's pid; refuses a second daemon."),
    "--log-format": ("text|json", "Lines for people, or JSON for programs.  [default: text]"),
    "--log-level": ("LEVEL", "debug, info, warning or error.  [default: info]"),
}


def flags_everywhere(command: Decorated) -> Decorated:
    """Give a command the flags that any verb may need: config, database, state_dir."""
    return _declare(command, _EVERYWHERE)


def daemon_flags(command: Decorated) -> Decorated:
    """Give a command the flags that only the daemon's settings need."""
    burst = click.option("--burst", is_flag=True, help="End when the queues are empty.")
    return _declare(burst(command), _DAEMON)


def _declare(command: Decorated, flags: Mapping[str, tuple[str, str]]) -> Decorated:
    for name, (metavar, text) in reversed(list(flags.items())):
        command = click.option(name, metavar=metavar, help=text)(command)
    return command


def given(flags: Mapping[str, object]) -> dict[str, object]:
    """The flags that were given, as the configuration takes them."""
    return {name: value for name, value in flags.items() if value not in (None, False)}
