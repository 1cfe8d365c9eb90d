"""Sign-ins and sign-outs in the audit log: few, so that who may only look writes little."""

from __future__ import annotations

import threading

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.store.audit import write_audit
from taskd.store.writing import is_read_only
from taskd.web.events import SignInNotNoted
from taskd.web.gate import Caller
from taskd.web.source import Source

PERIOD_SECONDS = 60.0
MOST_REMEMBERED = 1000
"""So many roles at addresses are noted in one period; the others are not."""

_Key = tuple[str, str, str]


class SessionNotes:
    """Notes who signs in and out, each of a role and address once a minute. Thread-safe.

    A note says how many like it (`others`) were left out since the last.
    """

    def __init__(self, source: Source, events: Events) -> None:
        self._source = source
        self._events = events
        self._lock = threading.Lock()  # guards the two dictionaries
        self._noted_at: dict[_Key, float] = {}
        self._left_out: dict[_Key, int] = {}

    def note(self, caller: Caller, action: str) -> None:
        """Note it if it is its turn, within some seconds; what is in the way is told as an event.

        Where the server's own user may only read, nothing is noted, and who may look is let in.
        """
        key = (str(caller.role), caller.address, action)
        others = self._take_turn(key)
        if others is None:
            return
        parameters = {"others": others} if others else {}
        try:
            with self._source.noting() as connection:
                write_audit(connection, key[:2], action, parameters, 0)
        except DatabaseError as error:
            if not is_read_only(error):
                self._events.emit(SignInNotNoted(*key, str(error)))

    def _take_turn(self, key: _Key) -> int | None:
        """How many like it were left out, if it is to be noted now; else None."""
        now = monotonic()
        with self._lock:
            if now - self._noted_at.get(key, -PERIOD_SECONDS) < PERIOD_SECONDS:
                self._left_out[key] = self._left_out.get(key, 0) + 1
                return None
            if len(self._noted_at) >= MOST_REMEMBERED:
                self._forget(now - PERIOD_SECONDS)
            if len(self._noted_at) >= MOST_REMEMBERED:
                return None
            self._noted_at[key] = now
            return self._left_out.pop(key, 0)

    def _forget(self, until: float) -> None:
        for key in [key for key, at in self._noted_at.items() if at <= until]:
            del self._noted_at[key]
            self._left_out.pop(key, None)
