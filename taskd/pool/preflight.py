"""What imported code left open that children cannot share: threads, sockets, a gevent hub."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from taskd.pool import originals


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Names of what is open; `hub` alone does no harm, a child makes its own anew."""

    threads: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    hub: bool = False

    @property
    def can_fork(self) -> bool:
        """Whether children may be forked from here."""
        return not self.threads and not self.sockets


def open_sockets() -> frozenset[int]:
    """The descriptors of this process that are sockets."""
    return frozenset(fd for fd in _descriptors() if _target(fd).startswith("socket:"))


def find_leftovers(own_sockets: frozenset[int]) -> Leftovers:
    """Look at this process; `own_sockets` are those that were open before the import."""
    return Leftovers(
        threads=tuple(_threads()),
        sockets=tuple(_name(fd) for fd in sorted(open_sockets() - own_sockets)),
        hub=has_hub(),
    )


def has_hub() -> bool:
    """Whether gevent has made a hub in this thread."""
    local = sys.modules.get("gevent._hub_local")
    return local is not None and local.get_hub_if_exists() is not None


def _threads() -> list[str]:
    """Python's threads by name (under gevent they are greenlets), and those of C libraries."""
    main = threading.main_thread()
    names = [thread.name for thread in threading.enumerate() if thread is not main]
    known = {thread.native_id for thread in threading.enumerate()}
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != os.getpid() and int(task.name) not in known:
            names.append(f"{(task / 'comm').read_text().strip()} (thread {task.name} of a library)")
    return names


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""  # the descriptor of the listing itself


def _name(fd: int) -> str:
    with originals.Socket(fileno=os.dup(fd)) as found:
        try:
            return f"connected to {_address(found.getpeername())}"
        except OSError:
            return f"bound to {_address(found.getsockname())}"


def _address(address: object) -> str:
    match address:
        case (str(host), int(port), *_):
            return f"{host}:{port}"
        case "" | b"":
            return "another socket of this process"
        case _:
            return str(address)
