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

    There are more descriptors than these, such as the lock of the incarnation: whoever holds it
    lives, so no process of the tree closes what it does not know.
    """

    board: Board
    wakeups: Wakeups
    kick_fd: int
    master: int
    control: socket.socket

    @classmethod
    def read(cls, fd: int) -> Self:
        """Read what the master wrote into a memfd, and close it."""
        with os.fdopen(fd, "rb") as told:
            told.seek(0)
            values = json.load(told)
        return cls(
            board=Board.attach(values["board_fd"]),
            wakeups=Wakeups(values["wakeup_fds"]),
            kick_fd=values["kick_fd"],
            master=values["master"],
            control=originals.Socket(fileno=values["control_fd"]),
        )
