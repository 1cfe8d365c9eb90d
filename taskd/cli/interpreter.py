"""Starting Python processes of taskd, and what they find when they import."""

from __future__ import annotations

import os
import sys


def python_command(module: str) -> list[str]:
    """The words that run a module of taskd in this interpreter, before its own arguments."""
    safely = ["-P"] if sys.flags.safe_path else []
    return [sys.executable, *safely, "-m", module]


def look_elsewhere() -> None:
    """Take the current directory off the path, where `python -m` has put it.

    A user's `queue.py` or `signal.py` there must not stand in for Python's while taskd imports its
    own; whoever imports users' modules puts the directory back.
    """
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
