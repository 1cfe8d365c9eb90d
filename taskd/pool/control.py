"""The control sockets between the master and what it starts: one JSON object a message.

This is the one place that knows how a message is written and how long it may be; the master's end
(`supervisor.channel`) and maintenance's (`maintenance.control`) only add that they never block.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

BUFFER_BYTES = 1 << 18
"""A message is as large as its sender's buffer at most, and the system may allow less than this."""

PART_BYTES = 60_000
"""So long may a list be in one message. What may grow longer goes in parts, or by a descriptor."""

MOST_DESCRIPTORS = 2

Message = dict[str, Any]
Entry = TypeVar("Entry", bound=Mapping[str, Any])


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode()


def decode(data: bytes) -> Message:
    """A message as it was received."""
    message: Message = json.loads(data)
    return message


def parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Cut a list into such that a message can hold; one part at least."""
    part: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(json.dumps(entry))
        if part and size + length > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(entry)
        size += length
    yield part


def send(control: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message; blocks while the other side does not read. OSError: nobody is there."""
    control.send(encode(message))


def receive(control: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message, with the descriptors that came along; None when the other side is gone.

    Blocks, if the socket does. The descriptors are not inheritable.
    """
    try:
        data, fds, _, _ = socket.recv_fds(control, BUFFER_BYTES, MOST_DESCRIPTORS)
    except ConnectionError:
        return None
    return (decode(data), fds) if data else None


def send_tasks(control: socket.socket, last: Message, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Send a list of tasks, in as many `tasks` messages as it takes, the rest with `last`."""
    *first, rest = parts(tasks)
    for part in first:
        send(control, {"op": "tasks", "tasks": part})
    send(control, {**last, "tasks": rest})
