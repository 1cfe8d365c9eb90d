"""The running jobs that were told to end, until they have.

Each is told once: it gets `kill_grace` to clean up, and a second interrupt would strike the
cleaning up. The master reads from the board who was told first, and kills the worker when the
grace is over. Of an interrupt at shutdown it knows by itself: it has ordered it.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskd.board import Why
from taskd.board.layout import TOLD, TOLD_AT, TOLD_WHY
from taskd.clock import monotonic_ns
from taskd.tasks.context import JobAttempt


@dataclass(slots=True)
class _Entry:
    attempt: JobAttempt
    why: Why | None
    at: int


class Told:
    """What one worker keeps of them. Signal handlers may call it, too."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._entries: dict[int, _Entry] = {}

    def note(self, attempt: JobAttempt, why: Why | None) -> bool:
        """Note that an attempt is told to end; whether it is the first time, so that it must be.

        `why` is None if the worker itself is to end, which the board does not show. A cancel counts
        more than what it was told before: it is to end as cancelled then.
        """
        entry = self._entries.get(id(attempt))
        if entry is None:
            self._entries[id(attempt)] = _Entry(attempt, why, monotonic_ns())
        elif why is Why.CANCEL:
            entry.why = why
        if why is not None:
            self.show()
        return entry is None

    def show(self) -> None:
        """Forget those that have ended, and write on the board who was told first."""
        if not self._entries:
            return
        self._entries = {
            key: entry for key, entry in self._entries.items() if entry.attempt.is_open
        }
        words = self._words
        for entry in self._entries.values():
            if entry.why is not None:
                if words[TOLD] != entry.attempt.id:
                    words[TOLD] = 0  # nobody may read the time of one with the job of the other
                words[TOLD_AT], words[TOLD_WHY] = entry.at, entry.why
                words[TOLD] = entry.attempt.id
                return
        words[TOLD] = 0
