"""Looks at the memory of the tree once a second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from taskd.board import Board, WorkerState, write_memory
from taskd.clock import monotonic
from taskd.supervisor.child import Worker
from taskd.supervisor.memory.course import Course, look
from taskd.supervisor.memory.procfs import Process

LOOK_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Watched:
    process: Process
    course: Course


class MemoryWatch:
    """What each worker holds, by its slot; the board tells it to others."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._watched: dict[int, _Watched] = {}
        self._next_look = 0.0

    def look(self, workers: Iterable[Worker]) -> None:
        """Look at all workers, if it is time to; at one that has just become ready in any case."""
        now = monotonic()
        is_time = now >= self._next_look
        if is_time:
            self._next_look = now + LOOK_SECONDS
        for worker in workers:
            if worker.pid and (is_time or self._is_news(worker)):
                self._look(worker)

    def course(self, slot: int) -> Course | None:
        """What the worker of a slot has held; None if it was not looked at yet."""
        watched = self._watched.get(slot)
        return None if watched is None else watched.course

    def forget(self, slot: int) -> None:
        """Its worker is gone."""
        watched = self._watched.pop(slot, None)
        if watched is not None:
            watched.process.close()

    def _is_news(self, worker: Worker) -> bool:
        """Whether it is ready now and was not at the last look: nothing has grown in it yet."""
        course = self.course(worker.slot)
        return (course is None or not course.fresh) and self._is_ready(worker)

    def _is_ready(self, worker: Worker) -> bool:
        reading = self._board.slot(worker.slot).read()
        return reading.pid == worker.pid and reading.state >= WorkerState.READY

    def _look(self, worker: Worker) -> None:
        watched = self._watched.get(worker.slot)
        if watched is None:
            watched = _Watched(Process(worker.pid), Course(worker.pid))
            self._watched[worker.slot] = watched
        reading = look(watched.process)
        if reading is None:
            return  # it has ended: what it held last stands
        watched.course.take(reading, self._is_ready(worker))
        write_memory(self._board.slot(worker.slot), watched.course.told)
