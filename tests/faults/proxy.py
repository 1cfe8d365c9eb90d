"""A network that can be cut, silenced and slowed: a TCP proxy in front of the server.

    client ──► proxy ──► server        `to_server` and `to_client` are the two directions

It listens on the loopback interface and takes libpq's connections as they are. Each direction of
each connection has a thread, for there are few.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536


@dataclass(eq=False)
class Pipe:
    """One connection through the proxy; `name` is the application_name that the client gave."""

    client: socket.socket
    server: socket.socket
    name: str = ""
    is_silent: bool = False
    """It stays open and carries nothing more: the other side is gone, and nobody says so."""
    cut_after: int | None = None
    """The answer is cut after so many further bytes."""

    def reset(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass
class Proxy:
    """Faults are switched on and off while it runs."""

    server: tuple[str, int]
    latency: float = 0.0
    is_black_hole: bool = False
    """Nothing passes, in no connection, and new ones get no answer."""
    is_down: bool = False
    """New connections are refused."""
    pipes: set[Pipe] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._is_over = threading.Event()
        self._lock = threading.Lock()  # guards pipes
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=taskd dbname=postgres"

    def living(self, name: str = "") -> list[Pipe]:
        """The connections of clients whose application_name holds this text."""
        with self._lock:
            return [pipe for pipe in self.pipes if name in pipe.name]

    def cut(self, name: str = "") -> int:
        """Reset connections now; how many."""
        found = self.living(name)
        for pipe in found:
            pipe.reset()
        return len(found)

    def cut_in_mid_message(self, chance: random.Random) -> None:
        """Cut each connection in the middle of the next answer that it carries."""
        for pipe in self.living():
            pipe.cut_after = chance.randrange(1, 40)

    def silence(self, name: str) -> int:
        """Leave the connections there now half-open: no more data, no end; how many."""
        found = self.living(name)
        for pipe in found:
            pipe.is_silent = True
        return len(found)

    def close(self) -> None:
        self._is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # to close it would wake nobody who accepts
        self._listener.close()
        self.cut()

    # -- threads ----------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._open, args=(client,), daemon=True).start()

    def _open(self, client: socket.socket) -> None:
        while self.is_black_hole and not self._is_over.is_set():
            time.sleep(0.02)
        try:
            if self.is_down:
                raise ConnectionRefusedError
            server = socket.create_connection(self.server, 5)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        server.settimeout(None)
        pipe = Pipe(client, server)
        with self._lock:
            self.pipes.add(pipe)
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(pipe, source, target), daemon=True).start()

    def _pump(self, pipe: Pipe, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if source is pipe.client and not pipe.name:
                    pipe.name = _application_name(data)
                while self.is_black_hole or pipe.is_silent:
                    if self._is_over.wait(0.02):
                        return
                if self.latency:
                    time.sleep(self.latency)
                if source is pipe.server and pipe.cut_after is not None:
                    target.sendall(data[: pipe.cut_after])
                    break
                target.sendall(data)
        with self._lock:
            self.pipes.discard(pipe)
        pipe.reset()


def _application_name(start: bytes) -> str:
    """What a startup packet says; empty if it is none."""
    words = start.split(b"\0")
    with contextlib.suppress(ValueError, IndexError):
        return words[words.index(b"application_name") + 1].decode(errors="replace")
    return ""


@contextmanager
def open_proxy(port: int) -> Iterator[Proxy]:
    """A proxy in front of a server on this port."""
    proxy = Proxy(("127.0.0.1", port))
    try:
        yield proxy
    finally:
        proxy.close()


def seconds_until(happened: Callable[[], bool], most: float) -> float:
    """Seconds until something is so; `inf` if it was not within `most`."""
    begun = time.monotonic()
    while time.monotonic() - begun < most:
        if happened():
            return time.monotonic() - begun
        time.sleep(0.02)
    return float("inf")
