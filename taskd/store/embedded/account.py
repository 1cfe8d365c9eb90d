"""Whom the server runs as: PostgreSQL refuses root, so root picks somebody unprivileged."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskd.errors import EmbeddedServerFailed

CANDIDATES = ("taskd", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user for the server; None stands for ourselves."""

    name: str | None = None
    uid: int = -1
    gid: int = -1

    @classmethod
    def choose(cls) -> Account:
        """Ourselves, or for root the first existing unprivileged user (TASKD_PG_USER before all).

        Raises EmbeddedServerFailed if there is none.
        """
        if os.geteuid() != 0:
            return cls()
        for name in filter(None, (os.environ.get("TASKD_PG_USER"), *CANDIDATES)):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            if entry.pw_uid != 0:
                return cls(name, entry.pw_uid, entry.pw_gid)
        raise EmbeddedServerFailed(
            f"no unprivileged user ({', '.join(CANDIDATES)}) exists for PostgreSQL, which refuses "
            "root: create one, name one in TASKD_PG_USER, or give --database"
        )

    @property
    def spawn_options(self) -> dict[str, Any]:
        """What subprocess needs to become this user; all three, or root's groups stay."""
        if self.name is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if self.name is not None:
            os.chown(path, self.uid, self.gid)

    def insist_on_reaching(self, folder: Path) -> None:
        """Raise EmbeddedServerFailed if this user may not pass to `folder`; nothing is changed."""
        if self.name is None:
            return
        for parent in (folder, *folder.parents):
            mode = parent.stat()
            mine = mode.st_uid == self.uid and mode.st_mode & stat.S_IXUSR
            if not mine and not mode.st_mode & stat.S_IXOTH:
                raise EmbeddedServerFailed(
                    f"PostgreSQL does not run as root, and the user {self.name} may not enter "
                    f"{parent}: give a --state-dir that everybody may enter (such as "
                    "/var/lib/taskd), or give --database"
                )
