"""What the keeper says about its server, in a file that its users may read at any time.

Plain text and a plain class: the keeper lives for as long as the server has users, and dataclasses
or json would cost it a quarter of its memory.
"""

from __future__ import annotations

import os
import time
from enum import StrEnum

from taskd.store.embedded.folder import Folder, give_away


class State(StrEnum):
    """Where the server is in its life."""

    STARTING = "starting"
    """It is being made, started or recovered."""
    READY = "ready"
    """It takes connections."""
    RESTARTING = "restarting"
    """It ended by itself, and is to be started again; `error` says what became of the last try."""
    STOPPING = "stopping"
    """Nobody uses it any more, or the keeper was asked to end."""
    FAILED = "failed"
    """It does not start; the keeper has given up and ended. `error` says why."""


class Status:
    """One such message. `since` is on the monotonic clock of the machine, in seconds."""

    __slots__ = (
        "bin_dir",
        "error",
        "keeper",
        "max_connections",
        "postmaster",
        "since",
        "socket_dir",
        "state",
        "version",
    )

    def __init__(self, state: State, keeper: int, since: float) -> None:
        self.state = state
        self.keeper = keeper
        self.since = since
        self.postmaster = 0
        self.max_connections = 0
        self.version = ""
        self.bin_dir = ""
        self.socket_dir = ""
        self.error = ""

    def is_after(self, moment: float) -> bool:
        """Whether it was said after this moment of this boot of the machine."""
        return moment <= self.since <= time.monotonic()


def write_status(folder: Folder, status: Status) -> None:
    """Replace the message in one step. Raises OSError, as when the disk is full."""
    lines = [f"{name}={_escape(str(getattr(status, name)))}\n" for name in Status.__slots__]
    coming = f"{folder.status}.new"
    fd = os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(lines)
    give_away(coming)
    os.rename(coming, folder.status)


def read_status(folder: Folder) -> Status | None:
    """The latest message, or None if there is none that makes sense."""
    try:
        with open(folder.status, encoding="utf-8", errors="surrogateescape") as file:
            fields = dict(line.rstrip("\n").split("=", 1) for line in file)
        status = Status(State(fields["state"]), int(fields["keeper"]), float(fields["since"]))
        status.postmaster = int(fields["postmaster"])
        status.max_connections = int(fields["max_connections"])
        for name in ("version", "bin_dir", "socket_dir", "error"):
            setattr(status, name, _unescape(fields[name]))
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return status


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(text: str) -> str:
    return "\\".join(part.replace("\\n", "\n") for part in text.split("\\\\"))
