"""Whom the server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

from taskd.store.embedded.folder import Folder
from taskd.store.embedded.start import NotStarted

PREFERRED = ("taskd", "postgres", "nobody")
"""Existing users that root's server may run as, best first."""


class SubprocessOptions(TypedDict, total=False):
    """What makes `subprocess` run a program as somebody else."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """The user and the group of the server; `is_other` if they are not those we run as.

    The name of a user who has none, as in some containers, is its number.
    """

    name: str
    uid: int
    gid: int
    is_other: bool

    @property
    def subprocess_options(self) -> SubprocessOptions:
        """User, group and groups: any of root's that were left over would be root's power."""
        if not self.is_other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def become(self) -> None:
        """Be this account, for good."""
        if self.is_other:
            os.setgroups([])
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Act as this account for a while; only in a process without other threads."""
        if not self.is_other:
            yield
            return
        groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
        os.setgroups([])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)

    def can_list(self, directory: str) -> bool:
        """Whether this account gets at what is in the directory, through all its parents."""
        with self.acting():
            try:
                os.listdir(directory)
            except PermissionError:
                return False
        return True

    def own(self, path: str) -> None:
        """Give the file or directory to this account."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)


def choose_account(folder: Folder, wanted: str) -> Account:
    """Ourselves, unless we are root; else the owner of the data, the one asked for, or an old hand.

    Raises NotStarted.
    """
    if os.geteuid() != 0:
        return Account(_name_of(os.geteuid()), os.geteuid(), os.getegid(), is_other=False)
    account = _owner(folder.data) or _named(wanted) or _owner(folder.path) or _preferred()
    try:
        with account.acting():
            return account
    except OSError as error:
        raise NotStarted(
            f"PostgreSQL refuses to run as root, and root may not become the user {account.name} "
            f"here ({error.strerror}): run taskd as an ordinary user, or give --database"
        ) from error


def _owner(path: str) -> Account | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if status.st_uid == 0:
        return None
    # A container made anew may not know the user whose data it is given.
    return Account(_name_of(status.st_uid), status.st_uid, status.st_gid, is_other=True)


def _name_of(uid: int) -> str:
    """The user's name, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _named(name: str) -> Account | None:
    if not name:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise NotStarted(f"TASKD_PG_USER is {name}: there is no such user") from None
    if entry.pw_uid == 0:
        raise NotStarted(f"TASKD_PG_USER is {name}: PostgreSQL refuses to run as root")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)


def _preferred() -> Account:
    for name in PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)
    raise NotStarted(
        "PostgreSQL refuses to run as root, and there is none of the users "
        f"{', '.join(PREFERRED)}: name one by TASKD_PG_USER, or give --database"
    )
