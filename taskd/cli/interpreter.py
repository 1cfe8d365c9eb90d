"""Starting further Python processes of taskd."""

from __future__ import annotations

import os
import sys

import taskd
from taskd.config.paths import working_directory


def python_command(module: str) -> list[str]:
    """The words that run a module of taskd in this interpreter, before its own arguments.

    Without the current directory on the path (-P), where a user's `queue.py` or `signal.py` would be
    found in place of Python's; whoever imports users' code puts it there himself. Only a taskd that
    lies in the current directory itself must be found there.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(taskd.__file__)))
    safely = [] if os.path.realpath(home) == os.path.realpath(working_directory()) else ["-P"]
    return [sys.executable, *safely, "-m", module]
