"""News of waiting jobs becomes lanes, floors and wakeups on the board.

    "three jobs wait in lane 5 of queue mail, from seq 812 on"
        lane unknown            -> enter it in the table
        812 behind some mark    -> lower the lane's floor, or claimers would never look there
        workers idle            -> wake as many as have three free slots together

A wakeup only says "look": who wakes and finds nothing waits again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from taskd.board import QUARANTINE_LANE, Board, LaneTable, LaneTableFull
from taskd.clock import monotonic
from taskd.config.versions import read_part
from taskd.events import Events
from taskd.maintenance.events import LaneLeftOut
from taskd.maintenance.worker_slots import WorkerSlots

FIRST_RETURN = 1.0
LAST_RETURN = 60.0


Marks = dict[tuple[str, int], int]
"""Low-water marks by lane: (queue, number)."""


class LaneNews(NamedTuple):
    """Jobs wait in a lane from `seq` on; how many, if that is known."""

    queue: str
    lane: int
    seq: int
    jobs: int | None


@dataclass(frozen=True, slots=True)
class News:
    """What a batch of notifications said.

    Jobs that wait, seconds to the next due one, whether there are orders, or letters to dispatch,
    or schedules that are others than before.
    """

    lanes: tuple[LaneNews, ...] = ()
    due: float | None = None
    requests: bool = False
    mail: bool = False
    schedules: bool = False


def read_news(payloads: Iterable[str]) -> News:
    """Understand the payloads of channel `taskd`; what it does not know, it leaves out.

    `[queue, lane, count, seq]`: jobs are queued; `[seconds]`: something is due then;
    `"request"`: there are orders; `"mail"`: letters; `"schedule"`: a schedule has changed. News of
    one lane is put together.
    """
    lanes: dict[tuple[str, int], LaneNews] = {}
    due: float | None = None
    requests = mail = schedules = False
    for payload in payloads:
        match _decoded(payload):
            case [str(queue), int(lane), int(count), int(seq)]:
                known = lanes.get((queue, lane), LaneNews(queue, lane, seq, 0))
                lanes[queue, lane] = LaneNews(
                    queue, lane, min(seq, known.seq), count + (known.jobs or 0)
                )
            case [int(seconds) | float(seconds)]:
                due = seconds if due is None else min(due, seconds)
            case "request":
                requests = True
            case "mail":
                mail = True
            case "schedule":
                schedules = True
    return News(tuple(lanes.values()), due, requests, mail, schedules)


def _decoded(payload: str) -> object:
    try:
        decoded: object = json.loads(payload)
    except ValueError:
        return None  # not from taskd: anybody may notify on the channel
    return decoded


class Waker:
    """Keeps the lanes on the board and wakes workers; any thread may call it."""

    def __init__(self, board: Board, slots: WorkerSlots, events: Events) -> None:
        self._lock = threading.Lock()  # guards the lane table, which has one writer, and wakes
        self._slots = slots
        self._events = events
        self._table = LaneTable(board)
        self._lanes = {(lane.queue, lane.number): lane.index for lane in self._table}
        self._left_out: set[str] = set()
        self._paused: frozenset[str] = frozenset()
        self._returns: dict[int, tuple[int, float, float]] = {}

    def jobs_wait(self, news: LaneNews) -> None:
        """Jobs have just been committed: let claimers find them, and wake idle ones."""
        with self._lock:
            lane = self._lane(news)
            if lane is None:
                return
            if news.seq <= self._slots.highest_mark(lane):
                self._table.lower_floor(lane, news.seq)
            self._wake(news)

    def jobs_found(self, news: LaneNews, marks: Marks) -> None:
        """A look found jobs; `marks` are the highest marks from before it looked.

        A job that stays behind the marks, because somebody's open transaction holds it, is
        returned to less and less often: each time costs the claimers a walk over dead rows.
        """
        with self._lock:
            lane = self._lane(news)
            if lane is None or self.is_paused(news.queue):
                return
            mark = marks.get((news.queue, news.lane), 0)
            if news.seq <= mark and self._may_return(lane, news.seq):
                self._table.lower_floor(lane, news.seq)
            self._wake(news)

    def set_paused(self, paused: frozenset[str]) -> bool:
        """Take the paused queues; whether one of them goes on now, so that a look is due."""
        with self._lock:
            resumed = self._paused - paused
            if paused != self._paused:
                for (queue, _), lane in self._lanes.items():
                    self._table.set_paused(lane, read_part(queue).queue in paused)
            self._paused = paused
            return bool(resumed)

    def is_paused(self, queue: str) -> bool:
        """Whether claimers leave a queue alone, with all that requires a version in it."""
        return read_part(queue).queue in self._paused

    @property
    def paused(self) -> frozenset[str]:
        """The paused queues."""
        return self._paused

    def marks(self) -> Marks:
        """The highest mark of each known lane that is served here and not paused."""
        with self._lock:
            return {
                (queue, number): self._slots.highest_mark(lane)
                for (queue, number), lane in self._lanes.items()
                if not self.is_paused(queue) and self._slots.serve(queue)
            }

    def steer(self, change: Callable[[WorkerSlots], None]) -> None:
        """Change what is known of the slots while nobody is being woken."""
        with self._lock:
            change(self._slots)

    def _lane(self, news: LaneNews) -> int | None:
        known = self._lanes.get((news.queue, news.lane))
        if not self._slots.serve(news.queue):
            return None
        return self._enter(news.queue, news.lane) if known is None else known

    def _enter(self, queue: str, number: int) -> int | None:
        try:
            lane = self._table.add(queue, number).index
        except LaneTableFull as full:
            if queue not in self._left_out:
                self._left_out.add(queue)
                self._events.emit(LaneLeftOut(queue, str(full)))
            return None
        self._lanes[queue, number] = lane
        self._table.set_paused(lane, self.is_paused(queue))
        return lane

    def _wake(self, news: LaneNews) -> None:
        if not self.is_paused(news.queue):
            # Of suspects a worker takes one, however many slots it has free.
            jobs = None if news.lane == QUARANTINE_LANE else news.jobs
            self._slots.wake(news.queue, jobs)

    def _may_return(self, lane: int, seq: int) -> bool:
        now = monotonic()
        last, pause, until = self._returns.get(lane, (0, FIRST_RETURN, 0.0))
        if seq != last:
            pause = FIRST_RETURN
        elif now < until:
            return False
        else:
            pause = min(pause * 2, LAST_RETURN)
        self._returns[lane] = (seq, pause, now + pause)
        return True
