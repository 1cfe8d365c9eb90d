"""Whether a PostgreSQL takes connections: asked by connecting, with nothing but a socket."""

from __future__ import annotations

import os
import socket
import struct

from taskd.store.embedded.cluster import SUPERUSER
from taskd.store.embedded.sockets import SOCKET

TIMEOUT = 5.0
_PROTOCOL_3 = 196608
_CANNOT_CONNECT_NOW = b"C57P03\0"


def answers(socket_dir: str) -> bool:
    """Whether the server on this socket takes connections; blocks up to 5 seconds.

    One that has none to spare just now counts as well: it is up.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(TIMEOUT)
            link.connect(os.path.join(socket_dir, SOCKET))
            link.sendall(_startup_message())
            return _is_welcome(link)
    except OSError:
        return False


def _startup_message() -> bytes:
    words = ("user", SUPERUSER, "database", "postgres", "application_name", "taskd probe", "", "")
    body = struct.pack("!i", _PROTOCOL_3) + "\0".join(words).encode()
    return struct.pack("!i", len(body) + 4) + body


def _is_welcome(link: socket.socket) -> bool:
    """Read until the server is ready for a query (True) or says why not, and say goodbye."""
    received = b""
    while True:
        chunk = link.recv(8192)
        if not chunk:
            return False
        received += chunk
        while len(received) >= 5:
            kind = received[:1]
            end = 1 + struct.unpack_from("!i", received, 1)[0]
            if len(received) < end:
                break
            message, received = received[5:end], received[end:]
            if kind == b"E":
                return _CANNOT_CONNECT_NOW not in message
            if kind == b"Z":
                link.sendall(b"X" + struct.pack("!i", 4))
                return True
