"""`python -m taskd.web.child FD`: the dashboard as a child of the master.

FD is a memfd with its birth as JSON. It lives until the master closes the control socket, whatever
the whole process group is told, so that a drain can be watched; and it dies with the master.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

from setproctitle import setproctitle

from taskd import logs
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.logs import LogWriter
from taskd.pool import control, spawn
from taskd.pool.roots import read_birth

TITLE = "taskd: dashboard"
END = signal.SIGUSR2
"""The signal by which this process tells its own main thread to end."""

AGAIN_SECONDS = 0.2


def main(arguments: Sequence[str]) -> int:
    """Serve until the master lets go; the exit status: 1 if it could not."""
    (fd,) = arguments
    birth = read_birth(int(fd))
    spawn.die_with_master(birth["master"], signal.SIGKILL)
    _keep_only({birth["control_fd"], birth["tree_fd"]})
    spawn.read_from_null()
    setproctitle(TITLE)
    settings = Settings.from_json(birth["settings"])
    events = Events()
    writer = logs.install(events, settings.log, "dashboard")
    spawn.ignore_orders()
    signal.signal(signal.SIGUSR1, lambda number, frame: writer.reopen())
    end = socket.socket(fileno=birth["control_fd"])
    threading.Thread(target=_attend, args=(end, writer), name="master", daemon=True).start()
    trouble = _serve(settings, birth, events)
    if trouble is None:
        return 0
    with contextlib.suppress(OSError):  # then the master is gone as well
        control.send(end, {"op": "failed", "error": trouble})
    return 1


def _serve(settings: Settings, birth: Mapping[str, Any], events: Events) -> str | None:
    """Serve; in a sentence why that cannot be done, None if it was."""
    try:
        from taskd.web.server import serve
        from taskd.web.tokens import read_access

        address, access = read_access(settings.dashboard)
        serve(address, access, birth["dsn"], events, mask=settings.dashboard.mask, ends=(END,))
    except ModuleNotFoundError as error:
        return f"{error.name} is missing: pip install 'taskd[dashboard]'"
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"cannot listen on {settings.dashboard.listen}: {error.strerror or error}"
    return None


def _keep_only(kept: Set[int]) -> None:
    """Close what else was inherited: the board is none of ours, nor is it our children's."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd in kept:
            os.set_inheritable(fd, False)
        elif fd > 2:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(fd)


def _attend(end: socket.socket, writer: LogWriter) -> None:
    """Do what the master says; once it has let go, have the main thread end."""
    while (order := control.receive(end)) is not None:
        if order[0]["op"] == "reopen":
            writer.reopen()
    while True:  # the first may come before there is a server to end
        os.kill(os.getpid(), END)
        time.sleep(AGAIN_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
