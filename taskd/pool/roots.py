"""What every process below the master inherits from it, by descriptors."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from taskd.board import Board, Wakeups


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
    def take(cls, birth: Mapping[str, Any], control: socket.socket) -> Self:
        """Take over the descriptors that a birth names.

        From here on processes are only forked, so nothing is inherited by a program any more:
        what a job starts must not pass for a part of the tree, nor reach the board.
        """
        for name in ("board_fd", "kick_fd", "tree_fd", "control_fd"):
            os.set_inheritable(birth[name], False)
        for wakeup_fd in birth["wakeup_fds"]:
            os.set_inheritable(wakeup_fd, False)
        return cls(
            board=Board.attach(birth["board_fd"]),
            wakeups=Wakeups(birth["wakeup_fds"]),
            kick_fd=birth["kick_fd"],
            master=birth["master"],
            control=control,
        )


def read_birth(fd: int) -> dict[str, Any]:
    """Read what the master wrote into a memfd for a seed, and close it."""
    with os.fdopen(fd, "rb") as told:
        told.seek(0)
        birth: dict[str, Any] = json.load(told)
    return birth
