"""Start the daemon: resolve the settings here, then become the master."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from taskd.cli.extra import require_dashboard
from taskd.cli.interpreter import python_command
from taskd.cli.invocation import Invocation

if TYPE_CHECKING:
    from taskd.config.settings import Settings


def start(invocation: Invocation) -> NoReturn:
    """Replace this process by the master of a daemon with these settings.

    An exec, so that the master carries neither YAML nor pydantic nor click in its memory, and keeps
    the pid that a service manager knows. Raises ConfigurationInvalid, and Failure if its dashboard
    could not work.
    """
    settings = invocation.settings()
    require_dashboard(settings)
    command = master_command(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def master_command(settings: Settings) -> list[str]:
    """The command line of the master; its last word is the descriptor that holds the settings."""
    descriptor = handed_over("taskd-settings", settings.to_json())
    return [*python_command("taskd.supervisor"), "--settings-fd", str(descriptor)]


def handed_over(name: str, text: str) -> int:
    """An inheritable descriptor of a file in memory that holds `text`, to be read from its start.

    Settings may hold a password: neither argv nor the environment is the place for it, for both
    can be read by others or pass to every child.
    """
    descriptor = os.memfd_create(name)
    os.set_inheritable(descriptor, True)
    os.write(descriptor, text.encode("utf-8"))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
