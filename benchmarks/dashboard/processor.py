"""Who has used how many CPU seconds: a dashboard, the connections that serve it, a whole server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

TICK = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 0.1
_SERVED = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'taskd client' AND datname = current_database()
"""


@dataclass(slots=True)
class Used:
    """CPU seconds within a block: of a dashboard, of its connections, of the server in all.

    `looking` is what it took the server to be measured, which is in no other figure.
    """

    dashboard: float = 0.0
    connections: float = 0.0
    server: float = 0.0
    looking: float = 0.0


@contextmanager
def measured(dsn: str, data_dir: str, dashboard: int | None) -> Iterator[Used]:
    """Measure until the block ends; `dashboard` is its pid, if there is one.

    The server's processes that end meanwhile count as well, for who starts them waits for them. Of
    connections that end, the last look counts.
    """
    postmaster = int((Path(data_dir) / "postmaster.pid").read_text().split()[0])
    used, is_over = Used(), threading.Event()
    before = _server(postmaster), 0.0 if dashboard is None else _own(dashboard)
    looker = threading.Thread(target=_look, args=(dsn, used, is_over))
    looker.start()
    try:
        yield used
    finally:
        is_over.set()
        looker.join()
        used.server = _server(postmaster) - before[0] - used.looking
        used.dashboard = 0.0 if dashboard is None else _own(dashboard) - before[1]


def _look(dsn: str, used: Used, is_over: threading.Event) -> None:
    began: dict[int, float] = {}
    seen: dict[int, float] = {}
    with psycopg.connect(dsn, autocommit=True, application_name="bench") as connection:
        own = connection.info.backend_pid
        is_first = True
        while True:
            for (pid,) in connection.execute(_SERVED.encode()).fetchall():
                with suppress(OSError):
                    seen[pid] = _own(pid)
                    began.setdefault(pid, seen[pid] if is_first else 0.0)
            is_first = False
            used.connections = sum(seen.values()) - sum(began.values())
            if is_over.wait(LOOK_SECONDS):
                used.looking = _own(own)
                return


def _server(postmaster: int) -> float:
    """CPU seconds of all that a server is and was."""
    total = _own(postmaster) + _of_the_ended(postmaster)
    for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
        with suppress(OSError):
            total += _own(int(child))
    return total


def _own(pid: int) -> float:
    return sum(_fields(pid)[:2]) / TICK


def _of_the_ended(pid: int) -> float:
    return sum(_fields(pid)[2:]) / TICK


def _fields(pid: int) -> list[int]:
    """User and system time of a process, and of the children that it has waited for, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]
