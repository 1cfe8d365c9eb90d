"""Signals as messages: a handler only notes and wakes, the loop does the rest."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)


class SignalInbox:
    """Collects signals; `fileno` becomes readable when there are some."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: dict[int, Callable[..., object] | int | None] = {}
        self._wakeup_before = -1

    def open(self) -> None:
        """Take over the handling of all signals the master knows, and of those held back so far."""
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in HANDLED:
            self._before[number] = signal.signal(number, _note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def close(self) -> None:
        """Give the signals back; closing twice is harmless."""
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        signal.set_wakeup_fd(self._wakeup_before)

    def fileno(self) -> int:
        """For poll."""
        return self._reader

    def take(self) -> list[signal.Signals]:
        """The signals that have come, in their order. Never blocks."""
        try:
            return [signal.Signals(number) for number in os.read(self._reader, 4096)]
        except BlockingIOError:
            return []


def _note(number: int, frame: object) -> None:
    """Nothing: the wakeup descriptor has taken the number down already."""
