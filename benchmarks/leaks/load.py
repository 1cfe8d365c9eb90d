"""One run: `python -m benchmarks.leaks.load LOAD SEED LEAK JOBS`; prints one JSON object."""

from __future__ import annotations

import json
import os
import random
import sys

import gevent

from benchmarks.leaks.jobs import NoisyJobs
from benchmarks.leaks.loads import LOADS, Load
from taskd.board import Board, WorkerState, read_memory
from taskd.board.layout import LIVE, PID, STATE, SUCCEEDED
from taskd.events import Events
from taskd.pool.live import LiveBytes
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Forkserver, Worker
from taskd.supervisor.memory.suspicion import Suspicions

GREENLETS = 25
READING_JOBS = 250
"""Between two readings of a worker; its jobs are the clock, so that a run takes seconds."""


class Watched:
    """A worker that is this process, and the master's look at it."""

    def __init__(self) -> None:
        board = Board.create(1, 1)
        self._slot = board.slot(0)
        self._slot.words[PID], self._slot.words[STATE] = os.getpid(), WorkerState.READY
        self._live = LiveBytes(self._slot)
        self._suspicions = Suspicions(board, Events())
        parent = Forkserver(channel=Channel(), pool="io", generation=1, kind="greenlet")
        self._worker = Worker(slot=0, parent=parent, pid=os.getpid())
        self.found_after: int | None = None
        self.bytes_a_job = 0
        self.levels: list[tuple[int, dict[str, int]]] = []

    def look(self, jobs: int, counts: dict[str, int]) -> None:
        """Let the worker read and the master look."""
        self._slot.words[SUCCEEDED] = jobs
        self._live.read_soon()
        self._live.beat()
        self.levels.append((self._slot.words[LIVE], dict(counts)))
        self._suspicions.look([self._worker])
        suspect = read_memory(self._slot).suspect
        if suspect and self.found_after is None:
            self.found_after, self.bytes_a_job = jobs, suspect


class Run:
    """The jobs of one run, in random order."""

    def __init__(self, load: Load, seed: int, leak: int, jobs: int) -> None:
        self._load, self._jobs = load, jobs
        self._chance = random.Random(seed)
        self._noisy = NoisyJobs(load, self._chance, leak, lambda: gevent.sleep(0))
        self._done = 0
        self._counts = {f"task {number}": 0 for number in range(len(load.weights))}
        self.watched = Watched()

    def run(self) -> None:
        """Run all jobs, or stop at the first suspicion."""
        gevent.joinall([gevent.spawn(self._greenlet) for _ in range(GREENLETS)], raise_error=True)

    def _greenlet(self) -> None:
        while self._done < self._jobs and self.watched.found_after is None:
            is_late = self._done > self._jobs / 2
            weights = self._load.later if is_late and self._load.later else self._load.weights
            (task,) = self._chance.choices(range(len(weights)), weights)
            self._noisy.run(task)
            self._done += 1
            self._counts[f"task {task}"] += 1
            if self._done % READING_JOBS == 0:
                self.watched.look(self._done, self._counts)


def main() -> None:
    """Do one run and print what was found."""
    name, seed, leak, jobs = sys.argv[1:]
    run = Run(LOADS[name], int(seed), int(leak), int(jobs))
    run.run()
    seen = run.watched
    found = {"found_after": seen.found_after, "bytes_a_job": seen.bytes_a_job}
    print(json.dumps({**found, "levels": seen.levels}))


if __name__ == "__main__":
    main()
