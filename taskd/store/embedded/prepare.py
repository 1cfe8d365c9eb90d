"""Everything that has to be so before PostgreSQL can be started, and becoming it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from taskd.store.embedded import cluster
from taskd.store.embedded.account import Account, choose_account
from taskd.store.embedded.binaries import Programs, find_programs
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.orders import Orders
from taskd.store.embedded.remnants import claim_directory, misleading_pid
from taskd.store.embedded.sockets import make_socket_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A server that only has to be started."""

    folder: Folder
    account: Account
    programs: Programs
    socket_dir: str
    max_connections: int
    lock: int

    @property
    def report(self) -> str:
        """A line each: PostgreSQL's version, where its programs come from, the socket's folder."""
        return f"{self.programs.version}\n{self.programs.origin}\n{self.socket_dir}"

    def become_server(self) -> None:
        """Turn this process into the server; returns never. Raises OSError.

        The server and all its processes inherit `lock`, and the data directory's descriptor.
        """
        data_fd = os.open(self.folder.data, os.O_RDONLY | os.O_DIRECTORY)
        for fd in (self.lock, data_fd):
            os.set_inheritable(fd, True)
        environment = cluster.server_environment(misleading_pid(self.folder, self.account))
        command = cluster.server_command(
            self.folder,
            self.programs,
            cluster.path_for(self.account, self.folder.data, data_fd),
            self.socket_dir,
            self.max_connections,
        )
        os.dup2(2, 1)
        self.account.become()
        os.execve(command[0], command, environment)


def prepare(folder: Folder, orders: Orders) -> Prepared:
    """Find account and programs, end what is left of an earlier server, make what is missing.

    Blocks for as long as that takes: a second, if the data directory has to be made. Raises
    NotStarted with the reason and the remedy.
    """
    account = choose_account(folder, orders.account)
    lock = claim_directory(folder, account)
    major = cluster.major_of(folder)
    programs = find_programs(orders.programs, major, account, folder)
    if major is None:
        cluster.create(folder, programs, account, lock)
    return Prepared(
        folder=folder,
        account=account,
        programs=programs,
        socket_dir=make_socket_dir(folder, account),
        max_connections=orders.max_connections,
        lock=lock,
    )
