"""Answers the questions that somebody has to this worker, at once, whatever it is doing.

The question is a number on the board and a signal. The handler runs in whatever computes, as soon
as Python comes to its next step, and writes the answer on a sheet; see taskd.board.sheet.
"""

from __future__ import annotations

import faulthandler
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from taskd.board import Sheet
from taskd.board.layout import (
    HEAP_ASKED,
    HEAP_SECONDS,
    HEAP_SHEET,
    HEAP_TOLD,
    SHEET,
    STACKS_ASKED,
    STACKS_TOLD,
)
from taskd.board.sheet import ASK_IN_C_SIGNAL, ASK_SIGNAL
from taskd.pool.standing import Stack

MOST_TEXT = 1_000_000
"""An answer stops there, in characters; the stacks of jobs come first."""

Stacks = Callable[["FrameType | None"], Iterator[Stack]]
"""Everybody's stack, given the frame that runs."""

Spawn = Callable[[Callable[[int], None], "tuple[int]"], object]
"""Lets a function run beside the jobs."""


class Answers:
    """The answering end of one worker."""

    def __init__(
        self, words: memoryview, stacks: Stacks, spawn: Spawn, pause: Callable[[float], object]
    ) -> None:
        self._words = words
        self._stacks = stacks
        self._spawn = spawn
        self._pause = pause
        self._sheet = Sheet.create()
        self._heap_sheet = Sheet.create()
        self._heap_begun = 0

    def install(self) -> None:
        """Answer from now on."""
        self.listen()
        faulthandler.register(ASK_IN_C_SIGNAL, self._sheet.fd, all_threads=True)
        self._words[HEAP_SHEET] = self._heap_sheet.fd
        self._words[SHEET] = self._sheet.fd

    def listen(self) -> None:
        """Take the signal, also back from a job that took it for itself."""
        signal.signal(ASK_SIGNAL, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        words = self._words
        if words[STACKS_ASKED] != words[STACKS_TOLD]:
            asked = words[STACKS_ASKED]
            self._sheet.wipe()
            self._sheet.write(self._text(frame))
            words[STACKS_TOLD] = asked
        if words[HEAP_ASKED] != self._heap_begun:
            self._heap_begun = words[HEAP_ASKED]
            try:
                self._spawn(self._measure, (self._heap_begun,))
            except Exception as error:  # no more threads, say
                self._tell_heap(self._heap_begun, {"note": f"could not look: {error}"})

    def _text(self, frame: FrameType | None) -> str:
        """The answer; raises nothing into the code that the signal has struck."""
        try:
            return "".join(self._lines(frame))
        except Exception as error:  # a border: what runs is the users' code
            who = f"could not be told: {type(error).__name__}: {error}"
            return json.dumps(
                {
                    "job": None,
                    "task": None,
                    "seconds": None,
                    "who": who,
                    "runs": False,
                    "frames": [],
                }
            )

    def _measure(self, asked: int) -> None:
        """Look twice for what grows, beside the jobs, and tell."""
        from taskd.pool import heap  # seldom needed, and each worker would hold it

        try:
            said = heap.measure(self._words[HEAP_SECONDS] / 1000, self._pause)
        except Exception as error:  # a border: objects of the users' code may be of any kind
            said = {"note": f"could not look: {type(error).__name__}: {error}"}
        self._tell_heap(asked, said)

    def _tell_heap(self, asked: int, said: Mapping[str, Any]) -> None:
        self._heap_sheet.wipe()
        self._heap_sheet.write(json.dumps(said))
        self._words[HEAP_TOLD] = asked

    def _lines(self, frame: FrameType | None) -> Iterator[str]:
        room = MOST_TEXT
        for stack in sorted(self._stacks(frame), key=lambda one: one["job"] is None):
            line = f"{json.dumps(stack)}\n"
            room -= len(line)
            if room < 0:
                return
            yield line
