"""Where taskd keeps its things."""

import os
from collections.abc import Mapping

ROOT_STATE_DIR = "/var/lib/taskd"


def default_state_dir(environ: Mapping[str, str] | None = None, uid: int | None = None) -> str:
    """Return the folder for the embedded PostgreSQL and the like, when no setting names one.

    TASKD_STATE_DIR if set; else /var/lib/taskd for root, and the user's XDG state directory
    (~/.local/state/taskd unless XDG_STATE_HOME says otherwise) for anybody else.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get("TASKD_STATE_DIR"):
        return absolute_path(named, working_directory())
    if (os.geteuid() if uid is None else uid) == 0:
        return ROOT_STATE_DIR
    state_home = environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    if not os.path.isabs(state_home):
        home = environ.get("HOME") or os.path.expanduser("~")
        state_home = os.path.join(home, ".local", "state")
    return os.path.join(state_home, "taskd")


def working_directory() -> str:
    """Return the working directory, or / if it has been removed meanwhile."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def absolute_path(text: str, directory: str) -> str:
    """Return the path with `~` expanded, taken from `directory` if it is relative.

    Raises ValueError with a sentence for the reader of the configuration.
    """
    if not text:
        raise ValueError("is empty: write a path, or leave it out")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise ValueError("begins with the home of a user whom this machine does not know")
    return os.path.normpath(os.path.join(directory, expanded))
