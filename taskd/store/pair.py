"""One connection for two who seldom need it at the same time, and a second while they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from threading import Lock

from taskd.clock import monotonic
from taskd.store.connect import Connection
from taskd.store.link import Link

PATIENCE_SECONDS = 0.2
"""Who has waited for so long for the other gets a connection of his own."""

WIDE_SECONDS = 2.0
"""For so long after that, or after many rows at once, there are two."""


class Pair:
    """Lends its first connection to one at a time; as long as it is wide, the second as well.

    For two greenlets, or two threads. Each has what he was lent for himself, so transactions are
    safe; and neither waits for the other longer than PATIENCE_SECONDS. From `many` rows on that are
    carried at once, it is wide for a while.
    """

    def __init__(self, dsn: str, name: str, many: int) -> None:
        self._many = many
        self._first, self._second = Link(dsn, name), Link(dsn, f"{name} second")
        self._turn = Lock()  # held by whoever has the first
        self._wide_until = -inf

    @property
    def is_open(self) -> bool:
        """Whether the server holds a connection for us."""
        return self._first.is_open

    @property
    def is_wide(self) -> bool:
        """Whether two may have a connection at the same time."""
        return monotonic() < self._wide_until

    @contextmanager
    def connection(self, apart: bool = False) -> Iterator[Connection]:
        """A connection, opened if need be; blocks while the other has it, and as Link's does.

        While there are two, one of the users is to ask for the one `apart`.
        """
        if not self._take_turn(apart):
            with self._second.connection() as connection:
                yield connection
            return
        try:
            with self._first.connection() as connection:
                yield connection
        finally:
            self._turn.release()

    def _take_turn(self, apart: bool) -> bool:
        """Take the first, or say that the second is to be used."""
        if apart and self.is_wide:
            return False
        if self._turn.acquire(timeout=PATIENCE_SECONDS):
            return True
        self._wide_until = monotonic() + WIDE_SECONDS
        return False

    def carried(self, rows: int) -> None:
        """Say how many rows one statement has brought or taken away."""
        if rows >= self._many:
            self._wide_until = monotonic() + WIDE_SECONDS

    def narrow(self) -> None:
        """Close the second if it is not needed any more."""
        if not self.is_wide:
            self._second.give_back()

    def give_back(self) -> None:
        """Close what nobody uses right now."""
        self._first.give_back()
        self._second.give_back()

    def close(self) -> None:
        """Close both; the next use opens one again. Closing twice is harmless."""
        self._first.close()
        self._second.close()
