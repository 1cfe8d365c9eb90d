"""Where the embedded server keeps its files: `<state_dir>/postgres/`.

data/         PostgreSQL's data directory; belongs to the account that the server runs as
run/          its unix socket, unless that path is too long for one
users.lock    each user of the server holds it shared
keeper.lock   the keeper holds it: there is at most one
server.lock   held by every process of the server, through the descriptor they inherit
status        what the keeper says about the server
postgres.log  what the server and the keeper complain about
"""

from __future__ import annotations

import os


class Folder:
    """The paths of one embedded server, and the making of its folder."""

    __slots__ = (
        "data",
        "keeper_lock",
        "log",
        "path",
        "run",
        "server_lock",
        "state_dir",
        "status",
        "users_lock",
    )

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        self.state_dir = os.path.abspath(os.fspath(state_dir))
        self.path = os.path.join(self.state_dir, "postgres")
        self.data = os.path.join(self.path, "data")
        self.run = os.path.join(self.path, "run")
        self.users_lock = os.path.join(self.path, "users.lock")
        self.keeper_lock = os.path.join(self.path, "keeper.lock")
        self.server_lock = os.path.join(self.path, "server.lock")
        self.status = os.path.join(self.path, "status")
        self.log = os.path.join(self.path, "postgres.log")

    def create(self) -> None:
        """Make the folder unless it exists; never touches what somebody else has made.

        Raises OSError.
        """
        is_root = os.geteuid() == 0
        missing = []
        parent = self.state_dir
        while not os.path.isdir(parent) and parent not in missing:
            missing.append(parent)
            parent = os.path.dirname(parent)
        for path in reversed(missing):
            _make(path, 0o755 if is_root else 0o700)
        # The server of a daemon that runs as root runs as somebody else, who must get through.
        if _make(self.path, 0o711 if is_root else 0o700):
            give_away(self.path)


def give_away(path: str) -> None:
    """Let what root has just made in a plain user's directory belong to that user."""
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))
        if owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid)


def _make(path: str, mode: int) -> bool:
    """Whether the directory had to be made; its mode is then exact, whatever the umask."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    os.chmod(path, mode)
    return True
