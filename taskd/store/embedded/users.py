"""Who uses the embedded server: each user holds a shared lock for as long as it wants the server.

The lock goes with the process that holds it, however that ends. When nobody holds it any more, the
keeper takes it alone, and keeps it while the server stops: `hold` waits for that.
"""

from __future__ import annotations

import os
import time
from types import TracebackType

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded import locks
from taskd.store.embedded.folder import Folder

STOP_SECONDS = 90.0
_PAUSE = 0.01


class Hold:
    """A user's claim on the server: it is kept running until `release`, or the process ends.

    Children forked meanwhile share it: it lasts until they, too, have released it or ended.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def release(self) -> None:
        """Need the server no longer; harmless when repeated. It stops some seconds later."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def hold(state_dir: str | os.PathLike[str]) -> Hold:
    """Take a hold on the embedded server of this state directory, whether it runs yet or not.

    Makes the directory if need be. Blocks only while the server is stopping. Raises
    EmbeddedServerFailed if the directory cannot be used.
    """
    folder = Folder(state_dir)
    deadline = time.monotonic() + STOP_SECONDS
    try:
        while time.monotonic() < deadline:
            folder.create()
            fd = locks.open_lock(folder.users_lock)
            if locks.try_shared(fd) and locks.is_current(fd, folder.users_lock):
                return Hold(fd)
            os.close(fd)
            time.sleep(_PAUSE)
    except OSError as error:
        raise EmbeddedServerFailed(_why(folder, error), folder.data) from error
    reason = f"it has been stopping for {STOP_SECONDS:g} s; see {folder.log}"
    raise EmbeddedServerFailed(reason, folder.data)


def has_other_users(folder: Folder) -> bool:
    """Whether another process holds the server; True also where this cannot be told."""
    try:
        inode = os.stat(folder.users_lock).st_ino
        with open("/proc/locks", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return True
    holders = {
        int(fields[4])
        for fields in lines
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}")
    }
    return bool(holders - {os.getpid()})


def _why(folder: Folder, error: OSError) -> str:
    reason = f"{error.filename or folder.path}: {error.strerror}"
    if isinstance(error, PermissionError):
        return f"{reason}; choose another directory by TASKD_STATE_DIR, or give --database"
    return reason
