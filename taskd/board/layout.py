"""Where each word of the board is, and who writes it."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from enum import IntEnum

from taskd.errors import TaskdError

MAGIC = 0x7461736B64
LAYOUT_VERSION = 8
WORD = 8

# Words of the header. The master writes all but HOST and MAINTENANCE_BEAT, which are maintenance's.
_MAGIC, _VERSION, _SLOTS, _LANES, _MASTER_PID, HOST, MAINTENANCE_BEAT = range(7)
LANE_COUNT, LANE_EPOCH = 8, 9
HEADER_WORDS = 64

SEEN_ENOUGH = 2

LANE_WORDS = 72
SLOT_FIELDS = 64
OFFER_WORDS = 128
MOST_SEATS = 10_000
"""Jobs that one worker can run at once. Words that nobody writes cost no memory."""

LAST_WORDS = 128 * 1024
"""Bytes for a stack behind the words, see last_words. A hundred frames, which is as many as are
written, need less."""

_SEATS = SLOT_FIELDS + OFFER_WORDS
_LANE_ARRAYS = _SEATS + MOST_SEATS
_ARRAYS_BY_LANE = 4

# Words of a slot. The worker writes them, but for LOOK, WARM, STACKS_ASKED, HEAP_ASKED and
# HEAP_SECONDS (maintenance), and BREAK, BREAK_WHY, TELL, TRIM, SUSPECT, NOTED and what begins with
# MEMORY (the master).
#   SEATS: how many jobs it can run at once.
#   POOL: which pool it works for, as the pool says it (taskd.pool.place).
#   DUE: when a greenlet worker beats again at the latest; STOOD: how late it was, when it last was.
#   SEATING: the descriptor of its Seating.
#   TOLD, TOLD_AT, TOLD_WHY: the running job that was told to end first, when, and why.
#   BREAK, BREAK_WHY: the job that the master found to block its hub, and why it is to end.
#   TELL: write where everybody stands.
#   MEMORY…: see taskd.board.memory.
#   FRESH: the bytes that it held when it was ready.
#   LIVE: what its allocators have handed out, in bytes, after LIVE_JOBS jobs.
#   TRIM: the master's request to collect garbage and tell LIVE anew; TRIMMED: the last one obeyed.
#   SUSPECT: the bytes a job by which LIVE grows, if it does for certain.
#   CANARY: 1 if it is one, SEEN_ENOUGH when it has done what it is there for; it tells no LIVE.
#   SHEET: the descriptor of the Sheet on which it answers where everybody stands; STACKS_ASKED: the
#   question's number, STACKS_TOLD: that of the last one answered. HEAP_…: the same of what grows,
#   within HEAP_SECONDS, which are thousandths.
#   NOTED: 1 once the master has seen that it drains without having ordered it. From then on it
#   counts as told to drain: SIGTERM interrupts its jobs. Greenlet workers alone read it, for a
#   process worker runs no job when it begins to drain of itself.
#   ILL: 1 if it drains because it is ill: a greenlet worker's jobs that run then may be to blame.
(
    PID,
    GENERATION,
    STATE,
    BEAT,
    IN_FLIGHT,
    SUCCEEDED,
    FAILED,
    RETRIED,
    IDLE,
    JOB,
    FENCE,
    DEADLINE,
    WORKER,
    PREFETCHED,
    STARTED,
    LOST,
    LOOK,
    WARM,
    POOL,
    SEATS,
    DUE,
    STOOD,
    SEATING,
    TOLD,
    TOLD_AT,
    TOLD_WHY,
    BREAK,
    BREAK_WHY,
    TELL,
    MEMORY,
    MEMORY_CHILDREN,
    MEMORY_LOW,
    MEMORY_HIGH,
    MEMORY_PEAK,
    FRESH,
    LIVE,
    LIVE_JOBS,
    TRIM,
    TRIMMED,
    SUSPECT,
    CANARY,
    SHEET,
    STACKS_ASKED,
    STACKS_TOLD,
    HEAP_SHEET,
    HEAP_ASKED,
    HEAP_SECONDS,
    HEAP_TOLD,
    NOTED,
    ILL,
) = range(50)


class WorkerState(IntEnum):
    """How far a worker is in its life, as it says itself."""

    EMPTY = 0
    STARTING = 1
    READY = 2
    DRAINING = 3
    EXITING = 4


class Why(IntEnum):
    """Why a running job is to end."""

    TIMEOUT = 1
    CANCEL = 2
    HOG = 3
    MEMORY = 4


class BoardMismatch(TaskdError):
    """The shared memory has another layout: two versions of taskd met; restart the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReading:
    """What one slot said at one moment; times are CLOCK_MONOTONIC nanoseconds, 0 for never."""

    slot: int
    pid: int
    generation: int
    state: WorkerState
    beat: int
    in_flight: int
    idle: int
    job: int
    fence: int
    deadline: int
    worker: int
    succeeded: int
    failed: int
    retried: int
    started: int
    due: int
    stood: int
    seating: int
    told: int
    told_at: int
    told_why: int


class Slot:
    """One worker's part of the board.

    `words` is for the path of every job (plain indexing by the constants of this module).
    `marks` holds the low-water mark of each lane, by the lane's index; `epochs` which of its floors
    the mark knows; `looks` when it was last looked at, in CLOCK_MONOTONIC nanoseconds. `shares` is
    how far each weighted queue has come. `offers` is for the module of this name. `seats` holds the
    job that runs in each seat of the worker, 0 for none: also for the path of every job.
    """

    __slots__ = ("epochs", "index", "looks", "marks", "offers", "seats", "shares", "words")

    def __init__(self, index: int, words: memoryview) -> None:
        self.index = index
        self.words = words[:SLOT_FIELDS]
        self.offers = words[SLOT_FIELDS:_SEATS]
        self.seats = words[_SEATS:_LANE_ARRAYS]
        lanes = (len(words) - _LANE_ARRAYS) // _ARRAYS_BY_LANE
        by_lane = words[_LANE_ARRAYS:]
        self.marks = by_lane[:lanes]
        self.looks = by_lane[lanes : 2 * lanes]
        self.epochs = by_lane[2 * lanes : 3 * lanes]
        self.shares = by_lane[3 * lanes :]

    def clear(self) -> None:
        """Empty the slot for its next worker; what it keeps of lanes and queues stays."""
        for seat in range(self.words[SEATS]):
            self.seats[seat] = 0
        for word in range(SLOT_FIELDS):
            self.words[word] = 0
        self.offers[0] = 0

    def seated(self) -> list[int]:
        """The jobs that run in the worker, or ran when it died; not those that wait there."""
        return [job for job in self.seats[: self.words[SEATS]] if job]

    def read(self) -> SlotReading:
        """Everything the slot says now."""
        w = self.words
        return SlotReading(
            slot=self.index,
            pid=w[PID],
            generation=w[GENERATION],
            state=WorkerState(w[STATE]),
            beat=w[BEAT],
            in_flight=w[IN_FLIGHT],
            idle=w[IDLE],
            job=w[JOB],
            fence=w[FENCE],
            deadline=w[DEADLINE],
            worker=w[WORKER],
            succeeded=w[SUCCEEDED],
            failed=w[FAILED],
            retried=w[RETRIED],
            started=w[STARTED],
            due=w[DUE],
            stood=w[STOOD],
            seating=w[SEATING],
            told=w[TOLD],
            told_at=w[TOLD_AT],
            told_why=w[TOLD_WHY],
        )


class Board:
    """The shared memory itself: made once by the master, attached by its children."""

    def __init__(self, fd: int, memory: mmap.mmap) -> None:
        self.fd = fd
        self.words = memoryview(memory).cast("Q")
        self.slots = self.words[_SLOTS]
        self.lanes = self.words[_LANES]
        self._first_slot = HEADER_WORDS + self.lanes * LANE_WORDS
        self._slot_words = _slot_words(self.lanes)

    @classmethod
    def create(cls, slots: int, lanes: int = 4096) -> Board:
        """Make a new board; its descriptor is inheritable. Pages never written cost no memory."""
        fd = os.memfd_create("taskd-board", 0)
        os.set_inheritable(fd, True)
        words = _words(slots, lanes)
        os.ftruncate(fd, words * WORD + slots * LAST_WORDS)
        memory = mmap.mmap(fd, words * WORD)
        header = memoryview(memory).cast("Q")
        header[_VERSION], header[_SLOTS], header[_LANES] = LAYOUT_VERSION, slots, lanes
        header[_MASTER_PID] = os.getpid()
        header[_MAGIC] = MAGIC
        return cls(fd, memory)

    @classmethod
    def attach(cls, fd: int) -> Board:
        """Open the board behind an inherited descriptor.

        Raises BoardMismatch if it was made by another version.
        """
        header = memoryview(mmap.mmap(fd, HEADER_WORDS * WORD)).cast("Q")
        if header[_MAGIC] != MAGIC or header[_VERSION] != LAYOUT_VERSION:
            raise BoardMismatch(
                f"the board has layout {header[_VERSION]}, this program knows {LAYOUT_VERSION}: "
                "restart the daemon"
            )
        return cls(fd, mmap.mmap(fd, _words(header[_SLOTS], header[_LANES]) * WORD))

    @property
    def master_pid(self) -> int:
        """The master that made it."""
        return self.words[_MASTER_PID]

    @property
    def host(self) -> int:
        """The id of this host's row, 0 before it has one; it changes if the lease was lost."""
        return self.words[HOST]

    @host.setter
    def host(self, host_id: int) -> None:
        self.words[HOST] = host_id

    @property
    def maintenance_beat(self) -> int:
        """When maintenance last beat, CLOCK_MONOTONIC nanoseconds."""
        return self.words[MAINTENANCE_BEAT]

    @maintenance_beat.setter
    def maintenance_beat(self, at: int) -> None:
        self.words[MAINTENANCE_BEAT] = at

    def slot(self, index: int) -> Slot:
        """The part of one worker."""
        start = self._first_slot + index * self._slot_words
        return Slot(index, self.words[start : start + self._slot_words])

    def last_words_at(self, index: int) -> int:
        """The offset in the file of what the worker in this slot says as it crashes."""
        end = self._first_slot + self.slots * self._slot_words
        return end * WORD + index * LAST_WORDS

    def lane_words(self, index: int) -> memoryview:
        """The words of one lane; LaneTable gives them their meaning."""
        start = HEADER_WORDS + index * LANE_WORDS
        return self.words[start : start + LANE_WORDS]


def _words(slots: int, lanes: int) -> int:
    return HEADER_WORDS + lanes * LANE_WORDS + slots * _slot_words(lanes)


def _slot_words(lanes: int) -> int:
    return _LANE_ARRAYS + _ARRAYS_BY_LANE * lanes
