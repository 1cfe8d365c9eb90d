"""What is left of a server that was killed, before another is started on its data.

Every process of a server holds server.lock through the descriptor that it inherited. After a
kill -9 of the postmaster a busy backend can go on for a while, and what it commits counts.
PostgreSQL refuses to start beside it, and so do we: the lock is free when the last one has ended.
"""

from __future__ import annotations

import os
import signal
import time

from taskd.store.embedded import locks, postmaster
from taskd.store.embedded.account import Account
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.start import NotStarted

PATIENCE = ((0.5, signal.SIGTERM), (5.0, signal.SIGKILL))
"""After how many seconds what is left of a server without a postmaster gets which signal."""
STOP_SECONDS = 45.0
_PAUSE = 0.02


def claim_directory(folder: Folder, account: Account) -> int:
    """A descriptor that holds server.lock alone; first waits for, then ends, what has it.

    Raises NotStarted after `STOP_SECONDS`.
    """
    began = time.monotonic()
    pending = [(0.0, signal.SIGINT), *PATIENCE]
    while (lock := locks.take(folder.server_lock)) is None:
        waited = time.monotonic() - began
        if waited > STOP_SECONDS:
            left = ", ".join(map(str, _holders(folder, account))) or "of another user or container"
            raise NotStarted(f"what is left of an earlier server does not end: processes {left}")
        if pending and waited >= pending[0][0]:
            _end(folder, account, pending.pop(0)[1])
        time.sleep(_PAUSE)
    return lock


def _end(folder: Folder, account: Account, number: signal.Signals) -> None:
    """Ask a postmaster to stop; without one, signal all that is left."""
    holders = _holders(folder, account)
    chief = postmaster.pid_of(folder)
    if chief in holders:
        holders, number = [chief], signal.SIGINT
    elif number == signal.SIGINT:
        return  # gives them a moment to notice that their postmaster is gone
    with account.acting():
        for pid in holders:
            _send(pid, number)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has ended by itself


def _holders(folder: Folder, account: Account) -> list[int]:
    """The living processes of the account that have server.lock open."""
    wanted = os.stat(folder.server_lock)
    with account.acting():  # they may look at themselves, root without CAP_SYS_PTRACE may not
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [pid for pid in pids if pid != os.getpid() and _has_open(pid, wanted)]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    return any(_is_same(f"/proc/{pid}/fd/{name}", wanted) for name in descriptors)


def _is_same(path: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), wanted)
    except OSError:
        return False


def misleading_pid(folder: Folder, account: Account) -> int | None:
    """The pid in postmaster.pid if it is no server's any more, though a process has it.

    PostgreSQL would take that process for a postmaster: a zombie that pid 1 does not reap, or
    somebody else, after the pid was used again. Call it while holding server.lock.
    """
    pid = postmaster.pid_of(folder)
    if pid is None or not os.path.exists(f"/proc/{pid}"):
        return None
    is_zombie = postmaster.birth_of(pid) is None
    data = os.stat(folder.data)
    with account.acting():
        works_elsewhere = not _is_same(f"/proc/{pid}/cwd", data)
    return pid if is_zombie or works_elsewhere else None
