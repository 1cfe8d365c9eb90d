"""A wire between a worker and its database that loses, or keeps, what it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Any, Self

import psycopg

_PIECE = 1 << 16
_CLAIM = b"claim_jobs_v1"
_HAND_OFF = b"end_hand_off_v1"
_UNREAD = b"unread_jobs_v1"


class Wire:
    """Listens at a socket of its own; `dsn` leads through it to the server of another."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(dsn)
        self._server = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/.s.PGSQL.{parts['port']}")
        self._listener.listen()
        self._loses: bytes | None = None
        self._goes_on = threading.Event()
        self._goes_on.set()
        self.lost = threading.Event()
        self.dsn = psycopg.conninfo.make_conninfo(dsn, host=str(folder))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._goes_on.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def lose_the_answer_to_a_claim(self) -> None:
        """Let the next claim reach the server, and cut the connection instead of its answer."""
        self._lose(_CLAIM)

    def lose_the_answer_to_a_hand_off(self) -> None:
        """The same for the next claim that travels with the ends of jobs."""
        self._lose(_HAND_OFF)

    def lose_what_is_read_one_by_one(self) -> None:
        """The same for the next look at jobs that made a claim unreadable."""
        self._lose(_UNREAD)

    def keep_the_answer_to_a_hand_off(self) -> None:
        """Let nothing come back there until it is told to go on."""
        self._goes_on.clear()
        self._lose(_HAND_OFF)

    def go_on(self) -> None:
        """Deliver what was kept."""
        self._goes_on.set()

    def _lose(self, question: bytes) -> None:
        self.lost.clear()
        self._loses = question

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                ends = (client, server)
                cut = threading.Event()
                threading.Thread(target=self._carry_questions, args=(*ends, cut)).start()
                threading.Thread(target=self._carry_answers, args=(*ends, cut)).start()

    def _carry_questions(
        self, client: socket.socket, server: socket.socket, cut: threading.Event
    ) -> None:
        with contextlib.suppress(OSError), server:
            while data := client.recv(_PIECE):
                if self._loses is not None and self._loses in data:
                    self._loses = None
                    cut.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _carry_answers(
        self, client: socket.socket, server: socket.socket, cut: threading.Event
    ) -> None:
        with contextlib.suppress(OSError), client:
            while data := server.recv(_PIECE):
                if cut.is_set():
                    self.lost.set()
                    if self._goes_on.is_set():
                        break
                    self._goes_on.wait()
                    cut.clear()
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
