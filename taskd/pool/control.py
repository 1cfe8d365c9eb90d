"""The control sockets between the master and what it starts: one JSON object a message."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MOST_BYTES = 1 << 20
PART_BYTES = 60_000
"""A longer message may not fit into a socket's buffer, so lists are told in parts."""

Message = dict[str, Any]


def send(control: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message; blocks while the other side does not read. OSError: nobody is there."""
    control.send(json.dumps(message).encode())


def receive(control: socket.socket) -> tuple[Message, int | None] | None:
    """The next message, with the descriptor that came along; None when the other side is gone.

    Blocks. The descriptor is not inheritable.
    """
    try:
        data, fds, _, _ = socket.recv_fds(control, MOST_BYTES, 1)
    except ConnectionError:
        return None
    if not data:
        return None
    message: Message = json.loads(data)
    return message, fds[0] if fds else None


def send_tasks(control: socket.socket, last: Message, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Send a list of tasks, in as many `tasks` messages as it takes, the rest with `last`."""
    part: list[Mapping[str, Any]] = []
    size = 0
    for task in tasks:
        length = len(json.dumps(task))
        if part and size + length > PART_BYTES:
            send(control, {"op": "tasks", "tasks": part})
            part, size = [], 0
        part.append(task)
        size += length
    send(control, {**last, "tasks": part})
