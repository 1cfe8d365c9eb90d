"""Threads that do one step after another."""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Callable
from math import inf

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.maintenance.events import PartFailed
from taskd.store.link import Link


class Backoff:
    """Growing pauses between failed tries, each a little random so that hosts do not march."""

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._pause = first

    def next(self) -> float:
        """The pause before the next try, in seconds."""
        pause, self._pause = self._pause, min(self._pause * 2, self._most)
        return pause * random.uniform(0.8, 1.2)

    def reset(self) -> None:
        """Begin with short pauses again, after a success."""
        self._pause = self._first


class Loop:
    """A thread that calls `step` again and again.

    `step` returns after how many seconds it wants to be called again (`inf`: when hurried).
    When the database fails it, it is called again after a pause of at most `patience` seconds;
    so it is after any other error, which is told as PartFailed. The loop closes its link, and is
    named after it.
    """

    def __init__(
        self, link: Link, step: Callable[[], float], events: Events, patience: float = 5.0
    ) -> None:
        self.turned_at = monotonic()
        self._link = link
        self._step = step
        self._events = events
        self._backoff = Backoff(0.1, patience)
        self._hurried = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=link.name, daemon=True)

    def start(self) -> None:
        """Begin; starting twice, or after `stop`, does nothing."""
        if self._thread.ident is None and not self._stopped.is_set():
            self._thread.start()

    def stop(self, timeout: float = 0.0) -> None:
        """Take no further step; wait at most `timeout` seconds for the one under way."""
        self._stopped.set()
        self._hurried.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def hurry(self) -> None:
        """Step now, not only when the last step wanted to. Any thread may call."""
        self._hurried.set()

    def is_alive(self, within: float) -> bool:
        """Whether the thread runs and began its last step at most `within` seconds ago."""
        return self._thread.is_alive() and monotonic() - self.turned_at <= within

    def _run(self) -> None:
        while True:
            self._hurried.clear()
            if self._stopped.is_set():  # set before the hurry that goes with it
                break
            self.turned_at = monotonic()
            self._turn()
        self._link.close()

    def _turn(self) -> None:
        try:
            pause = self._step()
        except DatabaseError:
            # The lease tells of outages, once for all parts.
            self._stopped.wait(self._backoff.next())
        except Exception:
            self._events.emit(PartFailed(self._link.name, traceback.format_exc()))
            self._stopped.wait(self._backoff.next())
        else:
            self._backoff.reset()
            self._hurried.wait(None if pause == inf else max(pause, 0.0))
