"""The functions that gevent replaces, as they were before: for processes in which no hub may run.

A patched fork waits for its child through a hub and hangs if there is none; a patched socket or
sleep would make one. This module must be imported after the patching, if there is any.
"""

from __future__ import annotations

import importlib
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any


def _original(module: str, name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(importlib.import_module(module), name)
    return monkey.get_original(module, name)


fork: Callable[[], int] = _original("os", "fork")
waitpid: Callable[[int, int], tuple[int, int]] = _original("os", "waitpid")
set_handler: Callable[[int, signal.Handlers], object] = _original("signal", "signal")
poll: Callable[[], select.poll] = _original("select", "poll")
Socket: type[socket.socket] = _original("socket", "socket")
