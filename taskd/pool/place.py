"""Where a worker stands, and what it was told at its birth."""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import dataclass
from zlib import crc32

from taskd.board import Board, Slot, Wakeups, WorkerState, read_offers
from taskd.board.layout import BEAT, DUE, GENERATION, IDLE, IN_FLIGHT, PID, POOL, PREFETCHED, STATE
from taskd.clock import monotonic_ns
from taskd.config.settings import LogLevel, PoolSettings, Settings

MAINTENANCE_LOST_NS = 5_000_000_000
HELD_UP_NS = 50_000_000

_EVENTFD = "anon_inode:[eventfd]"
_ONE = (1).to_bytes(8, "little")


KEEP_SECONDS = 60.0
"""A worker gives its connections back when it had nothing to do for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of one worker. `kick_fd` is the eventfd that calls maintenance.

    A canary traces what it allocates.
    """

    settings: Settings
    pool: str
    slot: int
    generation: int
    board: Board
    wakeups: Wakeups
    kick_fd: int
    dsn: str
    is_canary: bool = False

    @property
    def name(self) -> str:
        """As people know the worker: `io/0`."""
        return f"{self.pool}/{self.slot}"

    @property
    def pool_settings(self) -> PoolSettings:
        """The settings of its pool."""
        return self.settings.pools[self.pool]

    @property
    def tells_all(self) -> bool:
        """Whether the log is to have a line for the end of every attempt."""
        return self.settings.log.level is LogLevel.DEBUG

    @property
    def own(self) -> Slot:
        """Its slot on the board."""
        return self.board.slot(self.slot)

    @property
    def has_master(self) -> bool:
        """Whether the master still lives."""
        return os.getppid() == self.board.master_pid

    @property
    def has_maintenance(self) -> bool:
        """Whether maintenance lives, so that it calls when there is news."""
        return monotonic_ns() - self.board.maintenance_beat < MAINTENANCE_LOST_NS

    @property
    def hears(self) -> bool:
        """Whether the eventfd of the worker is still open; a job may have closed it."""
        try:
            return os.readlink(f"/proc/self/fd/{self.wakeups.fds[self.slot]}") == _EVENTFD
        except OSError:
            return False

    def idle_neighbours(self, queues: Set[str]) -> dict[int, int]:
        """The slots of other workers of this host that wait for jobs; how many each could begin.

        `queues` are those that such jobs come from. They are taken if the pool serves all of them
        and the code offers no less than ours. One whose hub is held up could begin none.
        """
        now = monotonic_ns()
        return {
            other.index: free
            for other in self._peers(queues)
            if (free := other.words[IDLE]) and now < (other.words[DUE] or now) + HELD_UP_NS
        }

    def fullest_neighbour(self) -> int | None:
        """The slot of the busy worker of the pool, beside us, that holds the most jobs ready."""
        own = self.own.words[POOL]
        slots = (self.board.slot(index) for index in range(self.board.slots) if index != self.slot)
        full = [
            slot
            for slot in slots
            if slot.words[POOL] == own and slot.words[PREFETCHED] and not slot.words[IDLE]
        ]
        fullest = max(full, key=lambda slot: slot.words[PREFETCHED], default=None)
        return None if fullest is None else fullest.index

    def has_fewest_jobs(self, queues: Set[str]) -> bool:
        """Whether no other worker of this host that takes jobs of these queues has fewer in hand.

        Of equals the one in the first slot has.
        """
        own = _jobs_in(self.own), self.slot
        return all(own < (_jobs_in(other), other.index) for other in self._peers(queues))

    def _peers(self, queues: Set[str]) -> list[Slot]:
        """The slots of other workers that claim whatever this one does from some queues."""
        pools = {
            _number(name)
            for name, pool in self.settings.pools.items()
            if not pool.queues or queues <= set(pool.queues)
        }
        others = (self.board.slot(index) for index in range(self.board.slots) if index != self.slot)
        offers = read_offers(self.own)
        return [
            other
            for other in others
            if other.words[STATE] == WorkerState.READY
            and other.words[POOL] in pools
            and offers <= read_offers(other)
        ]

    def enter(self) -> None:
        """Say on the board who is here now; the first thing a worker does."""
        words = self.own.words
        words[PID], words[GENERATION] = os.getpid(), self.generation
        words[POOL] = _number(self.pool)
        words[BEAT] = monotonic_ns()
        words[STATE] = WorkerState.STARTING

    def kick(self) -> None:
        """Tell maintenance that a worker has become idle. Never blocks."""
        try:
            os.write(self.kick_fd, _ONE)
        except BlockingIOError:
            return  # it has not heard the last four billion calls either


def _jobs_in(slot: Slot) -> int:
    """How many jobs a worker has in hand, begun or not."""
    return slot.words[IN_FLIGHT] + slot.words[PREFETCHED]


def _number(pool: str) -> int:
    """A pool's name as one word of the board."""
    return crc32(pool.encode())
