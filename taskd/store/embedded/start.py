"""Starting PostgreSQL: the keeper's child prepares everything, then becomes the server.

What it needs for that (searching, copying, running initdb) it loads after the fork, so the keeper
itself stays small.
"""

from __future__ import annotations

import os
import signal
import sys

from taskd.store.embedded.folder import Folder
from taskd.store.embedded.orders import Orders
from taskd.store.embedded.postmaster import Postmaster

_CANNOT_EXEC = 127


class NotStarted(Exception):
    """PostgreSQL does not start; the text says why. Never leaves the keeper."""


class Started:
    """A server under way: it has its data directory, but may still be recovering."""

    __slots__ = ("bin_dir", "postmaster", "socket_dir", "version")

    def __init__(self, postmaster: Postmaster, version: str, bin_dir: str, socket_dir: str) -> None:
        self.postmaster = postmaster
        self.version = version
        self.bin_dir = bin_dir
        self.socket_dir = socket_dir


def start_postgres(folder: Folder, orders: Orders) -> Started:
    """Start the server, creating its data directory if there is none; blocks for that long.

    Raises NotStarted.
    """
    report, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(report)
        _be_the_server(folder, orders, theirs)
    os.close(theirs)
    with open(report, "rb") as file:
        said, failed, error = file.read().partition(b"\0")
    if failed:
        os.waitpid(pid, 0)
        raise NotStarted(os.fsdecode(error))
    postmaster = Postmaster(pid)
    if not said:
        os.waitpid(pid, 0)
        raise NotStarted("its start was killed")
    version, bin_dir, socket_dir = os.fsdecode(said).split("\n", 2)
    return Started(postmaster, version, bin_dir, socket_dir)


def _be_the_server(folder: Folder, orders: Orders, report: int) -> None:
    """Report what there is to know, then exec; or report why not. Never returns.

    The pipe closes by the exec. An error comes after a NUL, also when the exec itself fails.
    """
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        from taskd.store.embedded.prepare import prepare

        prepared = prepare(folder, orders)
        os.write(report, os.fsencode(prepared.report))
        prepared.become_server()
    except NotStarted as error:
        os.write(report, b"\0" + os.fsencode(str(error)))
    except BaseException as error:  # a border: whatever it is, the keeper must hear of it
        sys.excepthook(type(error), error, error.__traceback__)
        os.write(report, b"\0" + os.fsencode(f"{type(error).__name__}: {error}"))
    finally:
        os._exit(_CANNOT_EXEC)
