"""How long one call of a function waits, and for whom: sockets by host, databases by statement.

The methods that wait are replaced for as long as somebody watches; of calls within calls the
outermost counts, so a statement is one wait and not as many as its packets.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import perf_counter
from typing import Any

from taskd.cli.moments import span
from taskd.cli.output import Column, one_line, table_lines

MOST_LINES = 20
COLUMNS = (
    Column("WAITED", right=True),
    Column("SHARE", right=True),
    Column("TIMES", right=True),
    Column("FOR"),
    Column("WHAT"),
)

Key = tuple[str, str]
Name = Callable[..., Key]
"""Whom a call waits for, and what for, given its arguments."""

_SOCKET = {
    "connect": "to connect",
    "connect_ex": "to connect",
    "accept": "for a connection",
    "recv": "to receive",
    "recv_into": "to receive",
    "recvfrom": "to receive",
    "recvfrom_into": "to receive",
    "recvmsg": "to receive",
    "send": "to send",
    "sendall": "to send",
    "sendto": "to send",
    "sendmsg": "to send",
}
_TLS = {"do_handshake": "for TLS", "read": "to receive", "write": "to send"}


class Waits:
    """The account: what was waited for, how often and how long."""

    def __init__(self) -> None:
        self.seconds: dict[Key, float] = {}
        self.times: dict[Key, int] = {}
        self._began = perf_counter()
        self._names: dict[str, str] = {}
        self._inside = threading.local()
        self._lock = threading.Lock()  # guards the two counts

    def timed(self, function: Callable[..., Any], name: Name) -> Callable[..., Any]:
        """The same function, whose calls are counted."""

        def wait(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "is_waiting", False):
                return function(*args, **kwargs)
            self._inside.is_waiting = True
            began = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside.is_waiting = False
                self._count(name, args, kwargs, perf_counter() - began)

        return wait

    def _count(self, name: Name, args: Any, kwargs: Any, seconds: float) -> None:
        try:
            key = name(*args, **kwargs)
        except Exception:  # a border: to name a wait must not fail the user's call
            key = ("?", "?")
        with self._lock:
            self.seconds[key] = self.seconds.get(key, 0.0) + seconds
            self.times[key] = self.times.get(key, 0) + 1

    def resolve(self, host: object, found: list[Any]) -> None:
        """Remember which name an address was looked up by."""
        for *_, address in found:
            self._names[str(address[0])] = str(host)

    def host(self, address: object) -> str:
        """An address as people know it: `api.example.org:443`."""
        if isinstance(address, tuple) and len(address) >= 2:
            return f"{self._names.get(str(address[0]), address[0])}:{address[1]}"
        return os.fsdecode(address) if isinstance(address, str | bytes) and address else "(unnamed)"

    def report(self) -> Iterator[str]:
        """The account as lines, the longest first."""
        whole = perf_counter() - self._began
        waited = sum(self.seconds.values())
        yield f"took {span(whole)}, of which it waited {span(waited)} ({_share(waited, whole)}):"
        longest = sorted(self.seconds.items(), key=lambda one: -one[1])
        rows = [
            [
                one_line(cell)
                for cell in (span(seconds), _share(seconds, whole), self.times[key], *key)
            ]
            for key, seconds in longest[:MOST_LINES]
        ]
        yield from table_lines(COLUMNS, rows, None)
        if len(longest) > MOST_LINES:
            rest = sum(seconds for _, seconds in longest[MOST_LINES:])
            yield f"and {len(longest) - MOST_LINES} others, {span(rest)} together"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole > 0 else "-"


@contextmanager
def watching(waits: Waits) -> Iterator[None]:
    """Count what the block waits for, in all its threads."""
    with ExitStack() as undo:
        _watch_sockets(waits, undo)
        _watch_names(waits, undo)
        _watch_the_rest(waits, undo)
        _watch_statements(waits, undo)
        yield


def _replace(undo: ExitStack, owner: Any, name: str, new: object) -> None:
    if name in vars(owner):
        undo.callback(setattr, owner, name, vars(owner)[name])
    else:
        undo.callback(delattr, owner, name)  # it is inherited
    setattr(owner, name, new)


def _watch_sockets(waits: Waits, undo: ExitStack) -> None:
    def peer(what: str) -> Name:
        def name(sock: Any, *args: Any, **kwargs: Any) -> Key:
            is_new = what == "to connect" and args
            return waits.host(args[0] if is_new else _peer(sock)), what

        return name

    for owner, methods in ((socket.socket, _SOCKET), (ssl.SSLSocket, {**_SOCKET, **_TLS})):
        for method, what in methods.items():
            _replace(undo, owner, method, waits.timed(getattr(owner, method), peer(what)))


def _peer(sock: Any) -> object:
    with suppress(OSError):
        return sock.getpeername()
    return None


def _watch_names(waits: Waits, undo: ExitStack) -> None:
    look_up = socket.getaddrinfo

    def and_remember(host: Any, *args: Any, **kwargs: Any) -> Any:
        found = look_up(host, *args, **kwargs)
        waits.resolve(host, found)
        return found

    timed = waits.timed(and_remember, lambda host, *_, **__: (str(host), "for its address"))
    _replace(undo, socket, "getaddrinfo", timed)


def _watch_the_rest(waits: Waits, undo: ExitStack) -> None:
    def sleep(*_: Any, **__: Any) -> Key:
        return "time.sleep", _caller()

    def child(process: Any, *_: Any, **__: Any) -> Key:
        args = process.args
        words = [args] if isinstance(args, str | bytes) else list(args)
        return "a child process", os.fsdecode(words[0])

    _replace(undo, time, "sleep", waits.timed(time.sleep, sleep))
    for method in ("wait", "communicate"):
        timed = waits.timed(getattr(subprocess.Popen, method), child)
        _replace(undo, subprocess.Popen, method, timed)


def _caller() -> str:
    """The line that called what was timed."""
    frame = sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _watch_statements(waits: Waits, undo: ExitStack) -> None:
    from taskd.store.statements import calls_that_wait

    for owner, method, name in calls_that_wait():
        raw = vars(owner)[method]
        if isinstance(raw, classmethod):
            _replace(undo, owner, method, classmethod(waits.timed(raw.__func__, name)))
        else:
            _replace(undo, owner, method, waits.timed(raw, name))
