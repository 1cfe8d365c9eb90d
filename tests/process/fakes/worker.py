"""A worker without jobs: it shows itself on the board and answers signals as it is told to."""

from __future__ import annotations

import os
import signal
from time import monotonic_ns
from typing import Any

from taskd.board import Board, Slot, WorkerState
from taskd.board.layout import (
    CANARY,
    DEADLINE,
    FENCE,
    GENERATION,
    IDLE,
    ILL,
    IN_FLIGHT,
    JOB,
    PID,
    SEATS,
    SEEN_ENOUGH,
    STATE,
    SUCCEEDED,
    WORKER,
)
from taskd.pool import spawn
from tests.process.fakes.stage import Stage

FOUND = {"idle": IDLE, "worker": WORKER, "done": SUCCEEDED}
ORDERS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def run_worker(birth: dict[str, Any], pool: str, order: dict[str, Any]) -> int:
    """Live as the file `worker` says.

    It is well, early, never, busy, stubborn, late, parent, worn, ill, full.
    """
    spawn.die_with_master(birth["master"], signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stage = Stage.of_this_process()
    word = stage.word("worker")
    slot = Board.attach(birth["board_fd"]).slot(order["slot"])
    found = {name: slot.words[word] for name, word in FOUND.items()}
    slot.words[PID], slot.words[GENERATION] = os.getpid(), order["generation"]
    slot.words[STATE] = WorkerState.STARTING
    about = {"slot": order["slot"], "pool": pool, "generation": order["generation"]}
    stage.note("worker", "started", dsn=order["dsn"], found=found, **about)
    if word == "early":
        return 3
    if word == "never":
        return _wait_for_ever(stage, about)
    slot.words[WORKER], slot.words[IDLE] = 1000 + order["slot"], 5
    if word == "late":
        os.setpgid(0, 0)
        slot.words[JOB], slot.words[FENCE], slot.words[IN_FLIGHT] = 7, 70, 1
        slot.words[DEADLINE] = monotonic_ns()
    if word == "parent":
        os.setpgid(0, 0)
        _leave_children(stage)
    if word == "worn":
        slot.words[SUCCEEDED] = 100
    slot.words[STATE] = WorkerState.READY
    stage.note("worker", "ready", **about)
    if word == "full":
        slot.words[CANARY], slot.words[STATE] = SEEN_ENOUGH, WorkerState.DRAINING
    if word == "ill":
        slot.words[SEATS], slot.seats[0] = 1, 7
        slot.words[ILL], slot.words[STATE] = 1, WorkerState.DRAINING
    return _answer(stage, slot, word, about)


def _wait_for_ever(stage: Stage, about: dict[str, Any]) -> int:
    while True:
        number = signal.sigwait(ORDERS)
        stage.note("worker", "signal", number=int(number), **about)


def _answer(stage: Stage, slot: Slot, word: str, about: dict[str, Any]) -> int:
    """Note every signal; end at the first or the second TERM, or never."""
    terms_to_end = {"busy": 2, "stubborn": 1000, "ill": 1000, "late": 2}.get(word, 1)
    while terms_to_end:
        number = signal.sigwait(ORDERS)
        stage.note("worker", "signal", number=int(number), **about)
        if number == signal.SIGTERM:
            terms_to_end -= 1
            slot.words[STATE] = WorkerState.DRAINING
    slot.words[STATE] = WorkerState.EXITING
    return 0


def _leave_children(stage: Stage) -> None:
    """A child in the worker's process group, and one that left the group but not the session."""
    for place in ("group", "session"):
        pid = os.fork()
        if pid == 0:
            if place == "session":
                os.setpgid(0, 0)
            stage.note("job's child", "started", place=place)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
            signal.pause()
            os._exit(0)
