"""News for pages that stay open: server-sent events, made once for all who watch.

One thread makes the overview every PERIOD_SECONDS while anybody watches. Each viewer holds one of
the server's threads, so they are bounded; a stream ends by itself after a while, and the browser
begins another, which shows that its session still holds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from typing import Any

from taskd.clock import monotonic, utc_now
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.store import statistics
from taskd.store.histogram import Histogram
from taskd.store.statistics import By, Counts, Summary
from taskd.web.answers import as_json
from taskd.web.events import AnswerFailed
from taskd.web.source import Source

PERIOD_SECONDS = 2.0
STREAM_SECONDS = 600.0
MOST_VIEWERS = 32
STATS_SECONDS = 900.0
_LOOK_SECONDS = 0.5
_RETRY = b"retry: 2000\n\n"
_COUNTS: dict[str, Any] = {
    field.name: Histogram({}, 0.0) if field.name in ("runs", "waits", "asks") else 0
    for field in fields(Counts)
}
_NOTHING = Summary(name="", counts=Counts(**_COUNTS), seconds=STATS_SECONDS)


class TooManyViewers(Exception):
    """All streams that the server has threads for are taken."""

    def __init__(self) -> None:
        super().__init__(f"{MOST_VIEWERS} pages watch already: close one, or ask for /queues")


class Live:
    """Makes the news, and hands them to whoever watches. Thread-safe."""

    def __init__(
        self, make: Callable[[], dict[str, Any]], events: Events, period: float = PERIOD_SECONDS
    ) -> None:
        self.is_over = False
        """Set it, be it in a signal handler, and all streams end within half a second."""
        self._make = make
        self._events = events
        self._period = period
        self._news = threading.Condition()  # guards what follows
        self._latest = b""
        self._number = 0
        self._viewers = 0
        self._is_running = False

    def watch(self, seconds: float = STREAM_SECONDS) -> Viewer:
        """A stream of events; raises TooManyViewers."""
        with self._news:
            if self._viewers >= MOST_VIEWERS:
                raise TooManyViewers
            self._viewers += 1
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="live", daemon=True).start()
        return Viewer(self, monotonic() + seconds)

    def leave(self) -> None:
        """One watches no more."""
        with self._news:
            self._viewers -= 1
            self._news.notify_all()

    def next(self, seen: int) -> tuple[int, bytes]:
        """The newest event behind one, with its number; after a moment without any, none."""
        with self._news:
            if self._number == seen:
                self._news.wait(_LOOK_SECONDS)
            return self._number, self._latest if self._number != seen else b""

    def _run(self) -> None:
        while True:
            event = self._event()
            with self._news:
                self._latest, self._number = event, self._number + 1
                self._news.notify_all()
                self._news.wait_for(lambda: self.is_over or not self._viewers, self._period)
                if self.is_over or not self._viewers:
                    # Who comes next would be told what is old by then.
                    self._is_running, self._latest = False, b""
                    return

    def _event(self) -> bytes:
        try:
            return _as_event("overview", self._make())
        except DatabaseError as error:
            return _as_event("trouble", {"error": str(error), "at": utc_now()})
        except Exception as fault:  # the thread's border: whoever watches goes on watching
            self._events.emit(AnswerFailed.of("/api/v1/live", fault))
            words = "a fault in taskd: its log has the traceback"
            return _as_event("trouble", {"error": words, "at": utc_now()})


class Viewer:
    """The events for one page, as an iterator of bytes; `close` it."""

    def __init__(self, live: Live, until: float) -> None:
        self._live = live
        self._until = until
        self._seen = -1
        self._is_closed = False
        self._has_greeted = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._has_greeted:
            self._has_greeted = True
            return _RETRY
        while not self._live.is_over and monotonic() < self._until:
            self._seen, event = self._live.next(self._seen)
            if event:
                return event
        raise StopIteration

    def close(self) -> None:
        """Leave; closing twice is harmless."""
        if not self._is_closed:
            self._is_closed = True
            self._live.leave()


def make_overview(source: Source) -> dict[str, Any]:
    """What a page shows first: queues, pools, and what has ended in 15 minutes."""
    figures = source.figures()
    with source.reading_statistics() as connection:
        ended = statistics.summarize(connection, STATS_SECONDS, By.ALL)
    return {
        "queues": [asdict(queue) for queue in figures.backlog],
        "pools": [asdict(pool) for pool in figures.pools],
        "stats": (ended[0] if ended else _NOTHING).to_json_dict(),
        "workers": sum(pool.workers for pool in figures.pools),
        "hosts": figures.hosts,
        "at": utc_now(),
    }


def _as_event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, default=as_json)}\n\n".encode()
