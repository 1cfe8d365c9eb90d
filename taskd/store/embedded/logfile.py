"""The log that PostgreSQL and the keeper share: its end for messages, its bound for the disk."""

from __future__ import annotations

import os
import time

from taskd.store.embedded.folder import Folder, give_away

MAX_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 1200
_CHUNK = 1 << 16


def open_log(folder: Folder) -> int:
    """A descriptor that appends to the log, made for nobody but its owner. Raises OSError."""
    fd = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    give_away(folder.log)
    return fd


def say(text: str) -> None:
    """Write a line of the keeper's own; its standard error is the log."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    try:
        os.write(2, os.fsencode(f"{moment} UTC [keeper {os.getpid()}] {text}\n"))
    except OSError:
        return  # the disk is full: the server still has to be kept


def size(folder: Folder) -> int:
    """How many bytes the log has; 0 if there is none."""
    try:
        return os.stat(folder.log).st_size
    except FileNotFoundError:
        return 0


def tail(folder: Folder, since: int = 0) -> str:
    """The last lines of the log that were written after its first `since` bytes."""
    try:
        with open(folder.log, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            since = since if since <= end else 0  # it has been cut meanwhile
            file.seek(max(since, end - TAIL_BYTES))
            text = file.read(TAIL_BYTES)
            if end - TAIL_BYTES > since:
                text = text.partition(b"\n")[2]
    except OSError as error:
        return f"(the log cannot be read: {error.strerror})"
    return text.decode("utf-8", "replace").strip()


def bound(folder: Folder) -> None:
    """Once the log is longer than MAX_BYTES, move what it holds to `postgres.log.1`.

    It is copied and cut, not renamed: PostgreSQL has it open for appending, and goes on with it.
    On a full disk it is cut all the same.
    """
    if size(folder) <= MAX_BYTES:
        return
    try:
        _copy(folder.log, f"{folder.log}.1")
    except OSError as error:
        say(f"cannot keep the older part of the log: {error.strerror}")
    os.truncate(folder.log, 0)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as log, open(target, "wb") as older:
        give_away(target)
        while chunk := log.read(_CHUNK):
            older.write(chunk)
