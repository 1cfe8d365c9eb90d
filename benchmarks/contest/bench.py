"""One system, set up for one measurement."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.contest import trees
from benchmarks.contest.failure import CaseFailed
from benchmarks.contest.sizes import Sizes
from benchmarks.contest.stores import Database, Redis
from benchmarks.contest.tally import Tally
from benchmarks.peers.peer import Command, Load, Place, System
from benchmarks.peers.work import FOLDER, HISTORY

READY_SECONDS = 60.0
CLIENT_SECONDS = 1_800.0


@dataclass(slots=True)
class Bench:
    """Where a case measures: `client` and `workers` run in the system's own environment."""

    system: System
    programs: Path
    folder: Path
    store: Database | Redis
    sizes: Sizes
    keeps_history: bool
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(self.folder)

    @property
    def place(self) -> Place:
        return Place(self.programs, self.store.redis, self.keeps_history)

    def database(self) -> Database:
        """The store of a case that only PostgreSQL can do."""
        if not isinstance(self.store, Database):
            raise CaseFailed("has no PostgreSQL")
        return self.store

    def client(self, verb: str, *words: object) -> Any:
        """What benchmarks.peers.client tells of one verb."""
        command = [str(self.programs / "python"), "-m", "benchmarks.peers.client"]
        command += [self.system.peer.app, verb, *map(str, words)]
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=CLIENT_SECONDS,
        )
        if ran.returncode != 0:
            raise CaseFailed(f"its client failed: {_last_line(ran.stderr)}")
        return json.loads(ran.stdout.splitlines()[-1])

    @contextmanager
    def workers(self, load: Load) -> Iterator[Workers]:
        """The system's workers until the block ends."""
        with self.running(self.system.peer.commands(self.place, load)) as running:
            yield running

    @contextmanager
    def running(self, commands: Sequence[Command]) -> Iterator[Workers]:
        """Processes in the system's environment until the block ends."""
        started = Workers(self.folder / "workers.log", [])
        environment = self._environment()
        try:
            with started.log.open("ab") as log:
                for command in commands:
                    process = subprocess.Popen(
                        command,
                        cwd=self.folder,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                    started.processes.append(process)
            yield started
        finally:
            trees.stop(started.processes)

    def make_ready(self, load: Load, workers: Workers) -> None:
        """Return once each process has run jobs and all is quiet; the tally begins anew."""
        wanted = self.system.peer.worker_processes(load)
        deadline = time.monotonic() + READY_SECONDS
        sent = 0
        while self.tally.processes() < wanted:
            if time.monotonic() > deadline:
                found = self.tally.processes()
                raise CaseFailed(f"{found} of {wanted} processes ran a job: {workers.last_words()}")
            workers.check()
            if self.tally.count() >= sent:
                sent += wanted * load.slots
                self.client("fill", "nap", 0.05, wanted * load.slots)
            time.sleep(0.05)
        if not self.tally.wait_for(sent, READY_SECONDS):
            raise CaseFailed(f"{self.tally.count()} of {sent} jobs ended: {workers.last_words()}")
        time.sleep(0.2)
        self.tally.reset()

    def _environment(self) -> dict[str, str]:
        usual = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {
            **usual,
            **self.store.environment,
            FOLDER: str(self.folder),
            HISTORY: "kept" if self.keeps_history else "dropped",
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(benchmarks.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TASKD_STATE_DIR": str(self.folder / "state"),
        }


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that were started, and where they log."""

    log: Path
    processes: list[subprocess.Popen[bytes]]

    @property
    def pids(self) -> list[int]:
        return [one.pid for one in self.processes]

    def check(self) -> None:
        """Raises CaseFailed if one has ended."""
        for process in self.processes:
            status = process.poll()
            if status is not None:
                raise CaseFailed(f"a worker ended with status {status}: {self.last_words()}")

    def last_words(self) -> str:
        return _last_line(self.log.read_text(errors="replace"))


def _last_line(text: str) -> str:
    lines = [one.strip() for one in text.splitlines() if one.strip()]
    return lines[-1][:200] if lines else "it said nothing"
