"""What every process of the tree has from the master, and the first seed, which is spawned with it.

A start waits longest for a seed to import its runtime. So the first one is spawned before the
master imports the rest of its own code, and the two import side by side.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Self

from taskd import __version__
from taskd.board import Board, Wakeups
from taskd.config.settings import Settings
from taskd.pool.signals import ORDERS
from taskd.supervisor.channel import Channel
from taskd.supervisor.incarnation import Incarnation
from taskd.supervisor.signals import HANDLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """The descriptors that every process of the tree has from the master."""

    board: Board
    wakeups: Wakeups
    kick_fd: int
    tree_fd: int

    @classmethod
    def create(cls, settings: Settings, tree_fd: int) -> Self:
        """Make what is to be inherited, with a slot for each worker and each of its successors."""
        workers = sum(pool.processes for pool in settings.pools.values())
        board = Board.create(slots=2 * workers + 8)
        kick_fd = os.eventfd(0, os.EFD_NONBLOCK)
        os.set_inheritable(kick_fd, True)
        wakeups = Wakeups.create(board.slots)
        return cls(board=board, wakeups=wakeups, kick_fd=kick_fd, tree_fd=tree_fd)

    def spawn_seed(self, kind: str, channel: Channel) -> int:
        """Start a seed at the other end of a channel; its pid. Raises OSError.

        It ignores none of our signals, whatever we have inherited: `nohup`, or a shell's `trap ''`.
        """
        birth = {
            "board_fd": self.board.fd,
            "control_fd": channel.child_fd,
            "wakeup_fds": self.wakeups.fds,
            "kick_fd": self.kick_fd,
            "tree_fd": self.tree_fd,
            "master": os.getpid(),
            "version": __version__,
        }
        birth_fd = os.memfd_create("taskd-birth")
        os.write(birth_fd, json.dumps(birth).encode())
        os.lseek(birth_fd, 0, os.SEEK_SET)
        for fd in (birth_fd, channel.child_fd):
            os.set_inheritable(fd, True)
        flags = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *flags, "-m", "taskd.pool.seed", kind, str(birth_fd)]
        try:
            return os.posix_spawn(
                sys.executable, command, os.environ, setsigmask=ORDERS, setsigdef=HANDLED
            )
        finally:
            os.close(birth_fd)


@dataclass(frozen=True, slots=True)
class FirstSeed:
    """A seed that nobody keeps account of yet."""

    kind: str
    pid: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class Beginning:
    """What there is of a daemon before its master is there; no seed: it could not be spawned."""

    incarnation: Incarnation
    inheritance: Inheritance
    seed: FirstSeed | None


def begin(settings: Settings) -> Beginning:
    """Take the locks of a new incarnation, make what its tree inherits, and spawn a seed."""
    incarnation = Incarnation(settings.state_dir)
    inheritance = Inheritance.create(settings, incarnation.tree_fd)
    return Beginning(incarnation, inheritance, _spawn_first(inheritance, kind_of_first(settings)))


def kind_of_first(settings: Settings) -> str:
    """The kind of the seed that maintenance is forked from, and so the first that is needed."""
    kinds = {pool.kind for pool in settings.pools.values()}
    return "greenlet" if "greenlet" in kinds else "process"


def _spawn_first(inheritance: Inheritance, kind: str) -> FirstSeed | None:
    channel = Channel()
    try:
        pid = inheritance.spawn_seed(kind, channel)
    except OSError:
        channel.close()
        return None  # the master tries again, and tells what hinders it
    channel.handed_over()
    return FirstSeed(kind, pid, channel)
