"""The directory of the server's unix socket: beside the data, or a short one elsewhere."""

from __future__ import annotations

import os
import stat

from taskd.store.embedded.account import Account
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.start import NotStarted

SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 107
"""Bytes that a unix socket's address has for its path on Linux."""
_TRIES = 10


def make_socket_dir(folder: Folder, account: Account) -> str:
    """A directory that only the account (and root) can enter, made if need be.

    Raises NotStarted, OSError.
    """
    if can_be_socket_dir(folder.run):
        if not os.path.isdir(folder.run):
            os.mkdir(folder.run, 0o700)
            account.own(folder.run)
        return folder.run
    return _make_short_dir(folder, account)


def can_be_socket_dir(path: str) -> bool:
    """Whether clients can be given a socket in this directory by its path.

    To libpq a comma separates hosts.
    """
    return len(os.fsencode(os.path.join(path, SOCKET))) <= LONGEST_SOCKET_PATH and "," not in path


def _make_short_dir(folder: Folder, account: Account) -> str:
    """The folder's directory in /run or /tmp; one that somebody else has made is not used."""
    import hashlib  # loads OpenSSL, and is seldom needed

    parent = "/run" if os.geteuid() == 0 and os.access("/run", os.W_OK) else "/tmp"
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder.path))).hexdigest()[:12]
    for number in range(_TRIES):
        path = os.path.join(parent, f"taskd-{name}" + (f"-{number}" if number else ""))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if _is_private(path, account):
                return path
            continue
        account.own(path)
        return path
    raise NotStarted(
        f"{folder.run} is too long a path for a unix socket, and {parent}/taskd-{name}* belong to "
        "somebody else: choose a shorter state directory"
    )


def _is_private(path: str, account: Account) -> bool:
    found = os.lstat(path)
    is_closed = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return is_closed and found.st_uid == account.uid
