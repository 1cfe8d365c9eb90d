"""Passes questions on to workers, and what they answer to whoever asked.

    a question in the database ─► its number on the worker's slot, a signal by the master
    the worker's answer is there ─► into the database
    none after 0.3 s, and its hub stands still ─► another signal, which C code answers
    none after 0.9 s ─► "it does not answer" into the database

No job is interrupted by it. What grows takes as long as it is asked to, and has a sheet of its own;
see taskd.pool.heap.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from taskd.board import Sheet, Slot
from taskd.board.layout import (
    DUE,
    HEAP_ASKED,
    HEAP_SECONDS,
    HEAP_SHEET,
    HEAP_TOLD,
    PID,
    SHEET,
    STACKS_ASKED,
    STACKS_TOLD,
)
from taskd.clock import monotonic, monotonic_ns
from taskd.config.units import span
from taskd.maintenance.sources import add_source
from taskd.maintenance.stack_text import read_stacks
from taskd.maintenance.worker_slots import WorkerSlots
from taskd.store import questions
from taskd.store.connect import Connection
from taskd.store.questions import HEAP, Question

LOOK_SECONDS = 0.015
IN_C_SECONDS = 0.3
SETTLED_SECONDS = 0.1
"""So long after the question in C what is there is whole."""
LONGEST_SECONDS = 0.9
AGAIN_SECONDS = 0.1
HEAP_LOOK_SECONDS = 0.1
HEAP_PATIENCE_SECONDS = 60.0
"""So much longer than it was asked to may the count take of a worker that is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOrder:
    """What the master is asked for: let this worker look at its questions."""

    slot: int
    pid: int
    in_c: bool


@dataclass(slots=True)
class _Asked:
    """A worker that is asked where it stands; `ids` are all who want to know."""

    slot: Slot
    pid: int
    ids: list[int]
    since: float
    asked_at: float
    asked_c_at: float | None = None
    sheet: Sheet | None = field(default=None)


@dataclass(slots=True)
class _HeapAsked:
    """A worker that is asked what grows in it within so many seconds."""

    slot: Slot
    pid: int
    ids: list[int]
    seconds: float
    until: float
    sheet: Sheet | None

    def look(self, now: float) -> dict[str, Any] | None:
        """What to answer, or None: not yet."""
        words = self.slot.words
        if words[PID] != self.pid:
            return {"note": "has ended"}
        if self.sheet is None:
            return {"note": "cannot be asked: a job has closed its descriptors"}
        if words[HEAP_TOLD] == words[HEAP_ASKED]:
            try:
                found: dict[str, Any] = json.loads(self.sheet.read() or "{}")
            except ValueError:  # somebody else has written there, too
                found = {}
            return found or {"note": "its answer has been lost: a job has closed its descriptors"}
        return {"note": "does not answer"} if now >= self.until else None


class Questions:
    """The chore that asks."""

    def __init__(
        self, slots: WorkerSlots, order: Callable[[AskOrder], None], hurry: Callable[[], None]
    ) -> None:
        self._slots = slots
        self._order = order
        self._hurry = hurry
        self._due = inf
        self._asked: dict[int, _Asked] = {}
        self._heaps: dict[int, _HeapAsked] = {}

    def soon(self) -> None:
        """There are new questions. Any thread may call."""
        self._due = -inf
        self._hurry()

    def due(self) -> float:
        """When to look next, on the monotonic clock."""
        return self._due

    def run(self, connection: Connection) -> None:
        """Take new questions, and answer those that workers have answered."""
        is_new, self._due = self._due == -inf, inf
        try:
            self._run(connection, is_new)
        except Exception:
            self._due = -inf if is_new else monotonic() + HEAP_LOOK_SECONDS
            raise

    def _run(self, connection: Connection, is_new: bool) -> None:
        if is_new:
            workers = self._slots.workers()
            for question in questions.take_questions(connection, list(workers)):
                slot = workers[question.worker]
                if question.kind != HEAP:
                    self._take(question, slot)
                elif (said := self._take_heap(question, slot)) is not None:
                    _answer(connection, [question.id], said)
        now = monotonic()
        self._look_at_heaps(connection, now)
        for worker, asked in list(self._asked.items()):
            said = self._look(asked, now)
            if said is not None:
                _answer(connection, asked.ids, said)
                del self._asked[worker]
                self._close(asked)
        if self._asked:
            self._due = min(self._due, monotonic() + LOOK_SECONDS)

    def _take(self, question: Question, slot: Slot) -> None:
        if question.worker in self._asked:
            self._asked[question.worker].ids.append(question.id)  # it is about to say it
            return
        now = monotonic()
        asked = _Asked(slot, slot.words[PID], [question.id], now, now)
        asked.sheet = Sheet.open(asked.pid, slot.words[SHEET])
        self._asked[question.worker] = asked
        slot.words[STACKS_ASKED] = question.id
        self._order(AskOrder(slot=slot.index, pid=asked.pid, in_c=False))

    def _take_heap(self, question: Question, slot: Slot) -> dict[str, Any] | None:
        """What to answer at once, if somebody else has it looked at for another time."""
        asked = self._heaps.get(question.worker)
        if asked is not None and asked.seconds != question.seconds:
            return {"note": f"is looked at for {span(asked.seconds)} by somebody else: ask later"}
        if asked is not None:
            asked.ids.append(question.id)
            return None
        until = monotonic() + question.seconds + HEAP_PATIENCE_SECONDS
        pid, words = slot.words[PID], slot.words
        sheet = Sheet.open(pid, words[HEAP_SHEET])
        self._heaps[question.worker] = _HeapAsked(
            slot, pid, [question.id], question.seconds, until, sheet
        )
        words[HEAP_SECONDS] = int(question.seconds * 1000)
        words[HEAP_ASKED] = question.id
        self._order(AskOrder(slot=slot.index, pid=pid, in_c=False))
        return None

    def _look_at_heaps(self, connection: Connection, now: float) -> None:
        for worker, asked in list(self._heaps.items()):
            said = asked.look(now)
            if said is not None:
                _answer(connection, asked.ids, said)
                del self._heaps[worker]
                self._close(asked)
        if self._heaps:
            self._due = min(self._due, now + HEAP_LOOK_SECONDS)

    def _look(self, asked: _Asked, now: float) -> dict[str, Any] | None:
        """What to answer, or None: not yet."""
        words, sheet = asked.slot.words, asked.sheet
        if words[PID] != asked.pid:
            return _said(asked, "has ended", [])
        if sheet is None:
            return _said(asked, "cannot be asked: a job has closed its descriptors", [])
        if words[STACKS_TOLD] == words[STACKS_ASKED]:
            return _said(asked, "", read_stacks(sheet.read()))
        if asked.asked_c_at is not None and now >= asked.asked_c_at + SETTLED_SECONDS:
            stacks = read_stacks(sheet.read())
            if stacks:
                return self._without_python(asked, stacks)
        if asked.asked_c_at is None and now >= asked.since + IN_C_SECONDS and _stands_still(words):
            asked.asked_c_at = now
            sheet.wipe()
            self._order(AskOrder(slot=asked.slot.index, pid=asked.pid, in_c=True))
        elif asked.asked_c_at is None and now >= asked.asked_at + AGAIN_SECONDS:
            asked.asked_at = now  # the master may just have learned of this worker
            self._order(AskOrder(slot=asked.slot.index, pid=asked.pid, in_c=False))
        if now >= asked.since + LONGEST_SECONDS:
            return _said(asked, "does not answer: it is stopped, or has no processor time", [])
        return None

    def _without_python(self, asked: _Asked, stacks: list[dict[str, Any]]) -> dict[str, Any]:
        """What is known of a worker that computes in C: the stack that runs, and who waits."""
        seats = asked.slot.seated()
        for stack in stacks:
            seat = stack.pop("seat", None)
            if stack["task"] is not None:
                at = asked.slot.seats[seat] if seat is not None else 0
                stack["job"] = at or (seats[0] if len(seats) == 1 else None)
        known = {stack["job"] for stack in stacks}
        waiting = [_waits(job) for job in seats if job not in known]
        return _said(
            asked, "executes no Python now; only the stack that runs is known", stacks + waiting
        )

    def _close(self, asked: _Asked | _HeapAsked) -> None:
        if asked.sheet is not None:
            asked.sheet.wipe()
            asked.sheet.close()


def _answer(connection: Connection, ids: list[int], said: dict[str, Any]) -> None:
    questions.answer_questions(connection, ids, json.dumps(said))


def _stands_still(words: memoryview) -> bool:
    """Whether a worker runs no greenlet but one, if it has any: C code may look then."""
    return not words[DUE] or monotonic_ns() > words[DUE]


def _waits(job: int) -> dict[str, Any]:
    return {"job": job, "task": None, "seconds": None, "who": "", "runs": False, "frames": []}


def _said(asked: _Asked, note: str, stacks: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer: `note` is what hinders a better one, if anything does."""
    asked.slot.words[STACKS_ASKED] = asked.slot.words[STACKS_TOLD]  # it need not answer any more
    return {"pid": asked.pid, "note": note, "stacks": add_source(stacks)}
