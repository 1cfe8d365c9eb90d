"""The socket to the master: one JSON object a message, nothing that ever blocks."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from typing import Any

MAX_MESSAGE = 1 << 18


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
            self._waiting.append(json.dumps({"op": op, **fields}).encode())
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

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come; sets `is_closed` when the master is gone."""
        messages = []
        while not self.is_closed:
            try:
                message = self._socket.recv(MAX_MESSAGE)
            except BlockingIOError:
                break
            except OSError:
                message = b""
            if not message:
                self.is_closed = True
                break
            messages.append(json.loads(message))
        return messages

    def close(self) -> None:
        """Close the socket."""
        self.is_closed = True
        self._socket.close()
