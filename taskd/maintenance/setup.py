"""What the maintenance process is given at its start."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from taskd.board import Board, Wakeups
from taskd.config.settings import Settings
from taskd.events import Events


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything that maintenance needs; the master's descriptors are open in this process.

    control: our end of the SEQPACKET pair with the master. kick_fd: the non-blocking eventfd on
    which workers say that they have gone idle. dead_incarnations: earlier masters of this state
    directory that are known to be over.
    """

    settings: Settings
    board: Board
    wakeups: Wakeups
    control: socket.socket
    kick_fd: int
    incarnation: str
    dead_incarnations: tuple[str, ...] = ()
    version: str = ""
    events: Events = field(default_factory=Events)
