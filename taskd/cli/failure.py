"""How a command fails: what was to be expected is one sentence and a status, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

import click

from taskd import errors
from taskd.cli.output import printable

FAILED, WRONG_USAGE = 1, 2
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
PIPE_CLOSED = 141
"""128 + SIGPIPE: the reader of a pipe, such as `head`, has seen enough."""

REMEDIES: tuple[tuple[type[errors.TaskdError], str], ...] = (
    (errors.StatementTimedOut, "it is overloaded, or the network is cut; try again"),
    (errors.DatabaseUnavailable, "start the server, or correct the setting `database`"),
)


class Failure(click.ClickException):
    """The thing asked for failed; status 1. Shown as `taskd: …`, a line each."""

    exit_code = FAILED
    prefix = "taskd: "

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the lines to standard error."""
        for line in self.message.splitlines():
            click.echo(self.prefix + printable(line), file=file or sys.stderr)


class WrongUsage(Failure):
    """The command line asks for what cannot be; status 2."""

    exit_code = WRONG_USAGE


class WrongConfiguration(WrongUsage):
    """The configuration has faults; each line begins with its place, as compilers have it."""

    prefix = ""


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turn what may well happen into its sentence and exit status; let faults of taskd through."""
    try:
        yield
    except errors.ConfigurationInvalid as error:
        raise WrongConfiguration(*map(str, error.faults)) from error
    except errors.TaskdError as error:
        raise Failure(_with_remedy(error)) from error
    except KeyboardInterrupt:
        leave(INTERRUPTED)
    except BrokenPipeError:
        leave(PIPE_CLOSED)


def _with_remedy(error: errors.TaskdError) -> str:
    for kind, remedy in REMEDIES:
        if isinstance(error, kind):
            return f"{error} ({remedy})"
    return str(error)


def leave(status: int) -> NoReturn:
    """End the command quietly with this status."""
    raise click.exceptions.Exit(status)
