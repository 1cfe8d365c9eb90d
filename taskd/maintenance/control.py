"""The socket to the master, maintenance's end: nothing here ever blocks."""

from __future__ import annotations

import socket
import threading
from collections import deque
from typing import Any

from taskd.pool import control
from taskd.pool.control import Message


class Control:
    """Maintenance's end of the socket pair; any thread may send, one reads.

    A master that is stopped does not read. Then messages wait here, in order, until `flush`.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._lock = threading.Lock()  # guards _waiting, and keeps messages whole and in order
        self._waiting: deque[bytes] = deque()
        self.is_closed = False

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, op: str, **fields: Any) -> None:
        """Send a message, now or with a later `flush`; never blocks."""
        with self._lock:
            self._waiting.append(control.encode({"op": op, **fields}))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it; never blocks."""
        with self._lock:
            while self._waiting and not self.is_closed:
                try:
                    self._socket.send(self._waiting[0])
                except BlockingIOError:
                    return
                except OSError:
                    self.is_closed = True  # the master is gone; reading finds that out, too
                    return
                self._waiting.popleft()

    def receive(self) -> list[tuple[Message, list[int]]]:
        """The messages that have come, with their descriptors; `is_closed`: the master is gone."""
        messages = []
        while not self.is_closed:
            try:
                message = control.receive(self._socket)
            except BlockingIOError:
                break
            if message is None:
                self.is_closed = True
                break
            messages.append(message)
        return messages

    def close(self) -> None:
        """Close the socket."""
        self.is_closed = True
        self._socket.close()
