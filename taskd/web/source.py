"""What answers are made from: the database, and figures that many may ask for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from taskd.clock import monotonic
from taskd.errors import DatabaseError, DatabaseUnavailable
from taskd.store import hosts, schema, statistics
from taskd.store.connect import STATEMENT_DEADLINE, Connection, connection_pool, translate_errors
from taskd.store.reading import reading
from taskd.store.statistics import Backlog, PoolRow, Total
from taskd.store.writing import writing
from taskd.tasks.stacks import WorkerStacks
from taskd.tasks.stalls import Stall, find_stalls
from taskd.web.cover import Cover

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

CONNECTIONS = 6
WAIT_SECONDS = 2.0
STATEMENT_SECONDS = 5.0
ORDER_SECONDS = 30.0
NOTE_SECONDS = 1.0
KEPT_SECONDS = 1.0
PART_OF_THE_TIME = 20
TIMES_WAITED = 2
TIMES_ASKED_ALIKE = 1
MOST_ASKING = 3
"""So many connections may wait for what workers answer; the others stay free for the rest."""


class TooManyAsk(Exception):
    """As many wait for workers to answer as may; the text says so."""


class Kept(Generic[Value]):
    """A value that many ask for: made anew at most once a second, and for a 20th of the time.

    Or for another `part` of it, for what is waited for rather than computed.

    Of those who ask meanwhile one makes it, and the others wait for that; if it fails, it has
    failed for all of them, so that they do not try in turn. Thread-safe.
    """

    def __init__(self, make: Callable[[], Value], part: int = PART_OF_THE_TIME) -> None:
        self._make = make
        self._part = part
        self._lock = threading.Lock()  # guards all, and lets one make it for all
        self._value: Value | None = None
        self._until = -inf
        self._has_begun = False
        self._failure: DatabaseError | None = None
        self._failed_at = -inf

    def get(self) -> Value:
        """The value; raises what making it raises."""
        asked = monotonic()
        with self._lock:
            self._has_begun = True
            if self._failure is not None and asked <= self._failed_at:
                raise DatabaseUnavailable(str(self._failure)) from self._failure
            began = monotonic()
            if self._value is None or began >= self._until:
                self._value = self._make_anew()
                took = monotonic() - began
                self._until = began + max(KEPT_SECONDS, self._part * took)
            return self._value

    @property
    def is_over(self) -> bool:
        """Whether whoever asks next has it made anew, and nobody makes it or is about to."""
        return self._has_begun and not self._lock.locked() and monotonic() >= self._until

    def forget(self) -> None:
        """It is not true any more: whoever asks next has it made anew."""
        with self._lock:
            self._until = -inf

    def _make_anew(self) -> Value:
        try:
            return self._make()
        except DatabaseError as error:
            self._failure, self._failed_at = error, monotonic()
            raise


class KeptByKey(Generic[Key, Value]):
    """What was made a moment ago for each question, for all who ask the same. Thread-safe."""

    def __init__(self, part: int) -> None:
        self._part = part
        self._lock = threading.Lock()  # guards the dictionary
        self._kept: dict[Key, Kept[Value]] = {}

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, which `make` makes; raises what that raises."""
        with self._lock:
            for each in [each for each, kept in self._kept.items() if kept.is_over]:
                del self._kept[each]  # it may be some megabytes
            kept = self._kept.setdefault(key, Kept(make, self._part))
        return kept.get()


@dataclass(frozen=True, slots=True)
class Figures:
    """What waits and runs now, all of one moment."""

    backlog: list[Backlog]
    pools: list[PoolRow]
    hosts: int


class Source:
    """The database behind all answers; `close` gives its connections back.

    `mask` are the tasks whose arguments are shown to nobody, `cover` hides names that are made of
    them; `stacks` is what workers have answered, `answers` the JSON that many have asked for alike.
    """

    def __init__(self, dsn: str, mask: Iterable[str] = ()) -> None:
        self.mask = frozenset(mask)
        self.cover = Cover(self.mask)
        self._pool = connection_pool(dsn, CONNECTIONS)
        self.stacks: KeptByKey[int, WorkerStacks] = KeptByKey(TIMES_WAITED)
        self.answers: KeptByKey[tuple[Hashable, ...], str] = KeptByKey(TIMES_ASKED_ALIKE)
        self._may_ask = threading.BoundedSemaphore(MOST_ASKING)
        self._may_ask_heap = threading.Lock()
        self._rolled_up = Kept(self._roll_up)
        self._asked = Kept(self._ask)
        self._figures = Kept(self._read_figures)
        self._totals = Kept(self._read_totals)
        self._stalls = Kept(self._find_stalls)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads, of one moment; raises DatabaseError."""
        with reading(self._pool, WAIT_SECONDS, STATEMENT_SECONDS) as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """A connection for what opens a transaction of one moment itself; raises DatabaseError."""
        with translate_errors(), self._pool.connection(timeout=WAIT_SECONDS) as connection:
            yield connection

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """A connection for questions to workers, which takes as long as they do to answer.

        Raises TooManyAsk at once if too many others do at this moment, or DatabaseError.
        """
        if not self._may_ask.acquire(blocking=False):
            raise TooManyAsk("too many ask workers at this moment: ask again")
        try:
            with self.looking() as connection, _soon(connection):
                yield connection
        finally:
            self._may_ask.release()

    @contextmanager
    def asking_heap(self) -> Iterator[Connection]:
        """The same for what grows in workers, which takes long: one looks at a time.

        It takes none of the places of those who ask where workers stand.
        """
        if not self._may_ask_heap.acquire(blocking=False):
            raise TooManyAsk("somebody else looks at what grows in a worker: ask again later")
        try:
            with self.looking() as connection, _soon(connection):
                yield connection
        finally:
            self._may_ask_heap.release()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that writes, after which the figures of now are new.

        Raises DatabaseError.
        """
        with writing(self._pool, WAIT_SECONDS, ORDER_SECONDS) as connection:
            yield connection
        self._figures.forget()

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """The same for what no figure tells of, and what nobody is to wait for.

        Raises DatabaseError.
        """
        with writing(self._pool, WAIT_SECONDS, NOTE_SECONDS) as connection:
            yield connection

    @contextmanager
    def reading_statistics(self) -> Iterator[Connection]:
        """One that only reads, after what has ended until now was added to the statistics."""
        self._rolled_up.get()
        with self.reading() as connection:
            yield connection

    def check(self) -> None:
        """Raise DatabaseError unless the database answers, with a schema that fits.

        The server gives up when we do, if it knows our limit yet: no probe leaves one waiting.
        """
        with self.looking() as connection, _soon(connection), connection.transaction():
            if schema.can_limit_statements(connection):
                connection.execute("SELECT taskd.limit_statements_v1(%s)", (STATEMENT_SECONDS,))
            schema.check_compatible(connection)

    def figures(self) -> Figures:
        """Backlog, pools and hosts, at most some seconds old."""
        return self._figures.get()

    def totals(self) -> list[Total]:
        """All that was ever counted, as of some seconds ago at most."""
        return self._totals.get()

    def stalls(self) -> list[Stall]:
        """The queues in which nothing begins though it could, as of some seconds ago at most."""
        return self._stalls.get()

    def ask_hosts(self) -> None:
        """Ask the daemons to report their processes, unless that was done a moment ago."""
        self._asked.get()

    def _read_figures(self) -> Figures:
        with self.reading() as connection:
            return Figures(
                backlog=statistics.fetch_backlog(connection),
                pools=statistics.list_pools(connection),
                hosts=sum(
                    host.beat_age < hosts.SILENT_SECONDS for host in hosts.list_hosts(connection)
                ),
            )

    def _read_totals(self) -> list[Total]:
        with self.reading_statistics() as connection:
            return statistics.totals(connection)

    def _find_stalls(self) -> list[Stall]:
        backlog = self.figures().backlog  # first, for nobody is to hold two connections
        with self.looking() as connection:
            return find_stalls(connection, backlog=backlog)

    def _roll_up(self) -> bool:
        return self._try(statistics.roll_up)

    def _ask(self) -> bool:
        return self._try(hosts.ask_reports)

    def _try(self, write: Callable[[Connection], object]) -> bool:
        """Whether we may write; a user who may only read sees what the daemons have written."""
        try:
            with translate_errors(), self._pool.connection(timeout=WAIT_SECONDS) as connection:
                write(connection)
        except DatabaseError:
            return False
        return True


@contextmanager
def _soon(connection: Connection) -> Iterator[None]:
    """Let no statement take longer than the pages wait, also without the schema.

    Ours alone: behind a pooler a setting of the session would become another's.
    """
    connection.deadline = STATEMENT_SECONDS
    try:
        yield
    finally:
        connection.deadline = STATEMENT_DEADLINE
