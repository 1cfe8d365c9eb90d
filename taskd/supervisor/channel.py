"""The master's end of a control socket: whole JSON messages, and it never blocks."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from taskd.pool import control
from taskd.pool.control import BUFFER_BYTES, Message

__all__ = ["Channel", "Message"]


class Channel:
    """One SEQPACKET pair; what the other side does not read yet waits here, in order."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
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

    def send(self, op: str, *, fds: Sequence[int] = (), **fields: Any) -> None:
        """Send a message, with copies of these descriptors; close yours when you like.

        Never blocks: what the other side does not take yet waits. Nobody there: it is dropped.
        """
        if self.is_closed:
            return
        copies = [os.dup(fd) for fd in fds]
        self._waiting.append((control.encode({"op": op, **fields}), copies))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._waiting and not self.is_closed:
            data, fds = self._waiting[0]
            try:
                socket.send_fds(self._ours, [data], fds)
            except BlockingIOError:
                return
            except ConnectionError:
                self._drop_waiting()  # nobody reads any more; what they said last is still there
                return
            self._waiting.popleft()
            _close_all(fds)

    def receive(self) -> list[Message]:
        """The messages that have come; closes itself when the other side is gone."""
        messages: list[Message] = []
        while not self.is_closed:
            try:
                data = self._ours.recv(BUFFER_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # it left orders unread; what it said before comes after this error
            if not data:
                self.close()
                break
            messages.append(control.decode(data))
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
        for _, fds in self._waiting:
            _close_all(fds)
        self._waiting.clear()


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
