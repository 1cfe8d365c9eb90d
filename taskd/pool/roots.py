"""What every process below the master inherits from it, by descriptors."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import Self

from taskd.board import Board, Wakeups
from taskd.pool import originals


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """The board, the eventfds and the master's pid; `control` leads to the master.

    One descriptor more is open, and stays so in every process of the tree: the lock of the
    incarnation, by which the next master knows who is left of it.
    """

    board: Board
    wakeups: Wakeups
    kick_fd: int
    master: int
    control: socket.socket

    @classmethod
    def read(cls, fd: int) -> Self:
        """Read what the master wrote into a memfd, and close it.

        From here on processes are only forked, so nothing is inherited by a program any more:
        what a job starts must not pass for a part of the tree, nor reach the board.
        """
        with os.fdopen(fd, "rb") as told:
            told.seek(0)
            values = json.load(told)
        for name in ("board_fd", "kick_fd", "tree_fd", "control_fd"):
            os.set_inheritable(values[name], False)
        for wakeup_fd in values["wakeup_fds"]:
            os.set_inheritable(wakeup_fd, False)
        return cls(
            board=Board.attach(values["board_fd"]),
            wakeups=Wakeups(values["wakeup_fds"]),
            kick_fd=values["kick_fd"],
            master=values["master"],
            control=originals.Socket(fileno=values["control_fd"]),
        )
