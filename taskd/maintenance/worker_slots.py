"""What the workers of this host say on the board, and how they are woken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taskd.board import Board, Slot, Wakeups, WorkerState, read_offers
from taskd.board.layout import IDLE, IN_FLIGHT, LOOK, PID, PREFETCHED, STATE, WARM, WORKER
from taskd.clock import monotonic
from taskd.config.settings import PoolSettings
from taskd.config.versions import read_part

PROMISE_SECONDS = 0.02
"""For so long a woken worker is taken to be on its way to the jobs it was woken for."""


class WorkerSlots:
    """The workers' slots, and which queues their pools serve.

    Reading is safe in any thread. `wake` and the setters are called under the Waker's lock.
    """

    def __init__(self, board: Board, wakeups: Wakeups, pools: Mapping[str, PoolSettings]) -> None:
        self._slots = [board.slot(index) for index in range(board.slots)]
        self._wakeups = wakeups
        self._pools = pools
        self._pool_of: Mapping[int, str] = {}
        self._promised: dict[int, tuple[int, float]] = {}

    def set_pools(self, pools: Mapping[str, PoolSettings]) -> None:
        """Take the pools of a new configuration."""
        self._pools = pools

    def set_workers(self, pool_of: Mapping[int, str]) -> None:
        """Take the master's word for which pool each slot's worker belongs to."""
        self._pool_of = pool_of
        self.choose_warm()

    def __getitem__(self, index: int) -> Slot:
        return self._slots[index]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def has_idle(self) -> bool:
        """Whether some worker waits for work."""
        return any(slot.words[IDLE] and is_ready(slot) for slot in self._slots)

    def has_jobs(self) -> bool:
        """Whether some worker has jobs in its hands."""
        return any(slot.words[IN_FLIGHT] or slot.words[PREFETCHED] for slot in self._slots)

    def workers(self) -> dict[int, Slot]:
        """The slots of all workers that have registered, by the worker's id."""
        return {
            slot.words[WORKER]: slot
            for slot in self._slots
            if slot.words[WORKER] and slot.words[STATE] != WorkerState.EMPTY
        }

    def pids(self) -> list[int]:
        """The workers' pids."""
        return [slot.words[PID] for slot in self._slots if slot.words[PID]]

    def highest_mark(self, lane: int) -> int:
        """How far the claimers of this host have come in a lane, by its index; 0: nowhere."""
        return max((slot.marks[lane] for slot in self._slots), default=0)

    def queues(self) -> tuple[str, ...]:
        """The queues that this host's pools serve; empty: all."""
        pools = self._pools.values()
        if any(not pool.queues for pool in pools):
            return ()
        return tuple(sorted({queue for pool in pools for queue in pool.queues}))

    def offers(self) -> frozenset[str]:
        """The versions of the code that some worker of this host offers."""
        return frozenset().union(*(read_offers(self._slots[index]) for index in self._pool_of))

    def are_staffed(self) -> bool:
        """Whether each pool has a worker that claims jobs, and so has told what it offers."""
        staffed = {pool for slot, pool in self._pool_of.items() if is_ready(self._slots[slot])}
        return staffed.issuperset(self._pools)

    def serve(self, part: str) -> bool:
        """Whether jobs of a queue, or of the part of it that requires a version, are taken here."""
        if not any(_takes(pool, part) for pool in self._pools.values()):
            return False
        is_plain = read_part(part).version is None
        return is_plain or any(self._serves(self._slots[index], part) for index in self._pool_of)

    def wake(self, part: str, jobs: int | None) -> int:
        """Wake idle workers for `jobs` jobs of a queue (None: unknown, wake all); how many.

        Of what requires a version, those who offer it.

        The warm worker goes first, because its connection is open.
        """
        woken = 0
        now = monotonic()
        for slot in self._idle_for(part):
            free = self._free(slot, now)
            if jobs is not None:
                if jobs <= 0:
                    break
                if free <= 0:
                    continue
                self._promise(slot, min(free, jobs), now)
                jobs -= free
            self._wakeups.wake(slot.index)
            woken += 1
        return woken

    def tell(self, slot: Slot, job: int) -> None:
        """Let a worker look for its orders: `job` is to be cancelled."""
        slot.words[LOOK] = job
        self._wakeups.wake(slot.index)

    def _idle_for(self, part: str) -> list[Slot]:
        found = [
            slot
            for slot in self._slots
            if slot.words[IDLE] and is_ready(slot) and self._serves(slot, part)
        ]
        found.sort(key=lambda slot: not slot.words[WARM])
        return found

    def _serves(self, slot: Slot, part: str) -> bool:
        pool = self._pools.get(self._pool_of.get(slot.index, ""))
        if pool is None or not _takes(pool, part):
            return False
        version = read_part(part).version
        return version is None or version in read_offers(slot)

    def _free(self, slot: Slot, now: float) -> int:
        promised, until = self._promised.get(slot.index, (0, 0.0))
        return slot.words[IDLE] - (promised if now < until else 0)

    def _promise(self, slot: Slot, jobs: int, now: float) -> None:
        """A worker stays idle on the board until it has woken: two jobs must not wake one slot."""
        promised, until = self._promised.get(slot.index, (0, 0.0))
        if now >= until:
            promised = 0
        self._promised[slot.index] = (promised + jobs, now + PROMISE_SECONDS)

    def choose_warm(self) -> None:
        """Let exactly one live worker keep its connection, of a greenlet pool if there is one."""
        live = [slot for slot in self._slots if slot.index in self._pool_of and is_ready(slot)]
        if not live:
            return
        warm = max(live, key=lambda slot: (self._is_greenlet(slot), slot.words[WARM]))
        for slot in self._slots:
            wanted = int(slot is warm)
            if slot.words[WARM] != wanted:
                slot.words[WARM] = wanted

    def _is_greenlet(self, slot: Slot) -> bool:
        pool: PoolSettings | None = self._pools.get(self._pool_of[slot.index])
        return pool is not None and pool.greenlets is not None


def is_ready(slot: Slot) -> bool:
    """Whether a slot's worker claims jobs."""
    return slot.words[STATE] == WorkerState.READY


def _takes(pool: PoolSettings, part: str) -> bool:
    return not pool.queues or read_part(part).queue in pool.queues
