"""The master's end of a control socket: whole JSON messages, and it never blocks."""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from typing import Any

MAX_MESSAGE = 1 << 18
Message = dict[str, Any]


class Channel:
    """One SEQPACKET pair; what the other side does not read yet waits here, in order."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        # A message is as large as the buffer at most, and orders carry the settings.
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_MESSAGE)
        self._waiting: deque[tuple[bytes, int | None]] = deque()
        self.is_closed = False

    def fileno(self) -> int:
        """For poll."""
        return self._ours.fileno()

    @property
    def child_fd(self) -> int:
        """The end for the child; stays open here until `handed_over`."""
        return self._theirs.fileno()

    def handed_over(self) -> None:
        """Close our copy of the child's end, so that the child's death is seen."""
        self._theirs.close()

    def send(self, op: str, *, fd: int | None = None, **fields: Any) -> None:
        """Send a message, with a descriptor if one is given (a copy; close yours when you like).

        Never blocks: what the other side does not take yet waits. Nobody there: it is dropped.
        """
        if self.is_closed:
            return
        copy = None if fd is None else os.dup(fd)
        self._waiting.append((json.dumps({"op": op, **fields}).encode(), copy))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._waiting and not self.is_closed:
            data, fd = self._waiting[0]
            try:
                socket.send_fds(self._ours, [data], [] if fd is None else [fd])
            except BlockingIOError:
                return
            except ConnectionError:
                self._drop_waiting()  # nobody reads any more; what they said last is still there
                return
            self._waiting.popleft()
            if fd is not None:
                os.close(fd)

    def receive(self) -> list[Message]:
        """The messages that have come; closes itself when the other side is gone."""
        messages: list[Message] = []
        while not self.is_closed:
            try:
                data = self._ours.recv(MAX_MESSAGE)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # it left orders unread; what it said before comes after this error
            if not data:
                self.close()
                break
            messages.append(json.loads(data))
        return messages

    def finish(self) -> None:
        """Give no more orders, which ends whoever is there; what they still say is heard.

        The channel closes itself when all have left: with a process that is about to announce a
        child, later than the one that was told to end.
        """
        if not self.is_closed:
            self._drop_waiting()
            self._ours.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the conversation; closing twice is harmless."""
        if self.is_closed:
            return
        self.is_closed = True
        self._drop_waiting()
        self._ours.close()
        self._theirs.close()

    def _drop_waiting(self) -> None:
        for _, fd in self._waiting:
            if fd is not None:
                os.close(fd)
        self._waiting.clear()
