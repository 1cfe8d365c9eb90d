"""A real master over stand-ins, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskd.config.sections import LogFormat, LogLevel, LogSettings, PoolSettings
from taskd.config.settings import Settings
from tests.process.daemon import is_alive
from tests.process.fakes.stage import Stage
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
FAKE_PYTHON = f'#!/bin/sh\nexec {sys.executable} -m tests.process.fakes "$@"\n'

IO = PoolSettings(processes=2, greenlets=5, shutdown_timeout=30, kill_grace=30)


class Supervised:
    """The master as a test sees it: what it logs, and what its stand-ins note."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder)
        self.log = folder / "log"
        self._python = folder / "python"
        self._python.write_text(FAKE_PYTHON)
        self._python.chmod(0o755)
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    # -- its life ---------------------------------------------------------------------------------

    def settings(self, pools: Mapping[str, PoolSettings] | None = None, **fields: Any) -> Settings:
        """Settings with one pool of two workers, unless told otherwise."""
        usual: dict[str, Any] = {
            "database": "unused",
            "pools": {"io": IO} if pools is None else dict(pools),
            "log": LogSettings(level=LogLevel.DEBUG, format=LogFormat.JSON, file=str(self.log)),
            "state_dir": str(self._folder / "state"),
        }
        return Settings(**{**usual, **fields})

    def start(self, settings: Settings | None = None, *, stderr: int | None = None) -> None:
        """Start a master; several may be started after each other, or at once."""
        chosen = self.settings() if settings is None else settings
        fd = os.memfd_create("settings")
        os.write(fd, chosen.to_json().encode())
        os.lseek(fd, 0, os.SEEK_SET)
        with (self._folder / "stderr").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.process.fakes", "master", "--settings-fd", str(fd)],
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "FAKES": str(self._folder),
                    "FAKES_PYTHON": str(self._python),
                },
                stdin=subprocess.DEVNULL,
                stderr=errors if stderr is None else stderr,
                pass_fds=[fd],
            )
        os.close(fd)
        self._processes.append(process)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self._processes[-1]

    @property
    def pid(self) -> int:
        return self.process.pid

    def reload(self, settings: Settings) -> None:
        """Lay out new settings and tell the master."""
        (self._folder / "settings.json").write_text(settings.to_json())
        self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> int:
        """Wait for its end; the exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"the master did not end:\n{self.told()}") from late

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """End every master; its stand-ins end with it."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(20)
        pids = [note["pid"] for note in self.notes("worker") + self.notes("job's child")]
        for pid in filter(is_alive, pids):
            os.kill(pid, signal.SIGKILL)

    # -- what it says -----------------------------------------------------------------------------

    def told(self) -> str:
        """Everything that it and its stand-ins have written, for a failing test."""
        names = ("log", "stderr", "journal")
        texts = [(self._folder / name) for name in names if (self._folder / name).exists()]
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in texts)

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """The events of one kind that it has logged."""
        if not self.log.exists():
            return []
        whole = self.log.read_text().rpartition("\n")[0]  # the last line may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        wanted = {"event": name, **fields}
        return [line for line in lines if wanted.items() <= line.items()]

    def wait_for(self, name: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait for the `count`-th event of a kind."""
        return self._wait(lambda: self.events(name, **fields), count, f"{name} {fields}")

    # -- what its children note -------------------------------------------------------------------

    def notes(self, role: str, did: str = "started", **fields: Any) -> list[dict[str, Any]]:
        return self.stage.notes(role, did, **fields)

    def wait_for_note(
        self, role: str, did: str = "started", count: int = 1, **fields: Any
    ) -> dict[str, Any]:
        """Wait for the `count`-th note of a kind."""
        what = f"{role} {did} {fields}"
        return self._wait(lambda: self.notes(role, did, **fields), count, what)

    def _wait(self, look: Any, count: int, what: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            lines: list[dict[str, Any]] = look()
            return lines[count - 1 : count]

        try:
            return eventually(found, 20)[0]
        except AssertionError as error:
            raise AssertionError(f"never {what} x {count}:\n{self.told()}") from error

    def deaths(self) -> list[dict[str, Any]]:
        """What maintenance was told of workers that ended."""
        return [note["told"] for note in self.notes("maintenance", "heard", op="died")]

    def wait_for_death(self, pid: int) -> dict[str, Any]:
        """What maintenance was told of the end of one worker."""
        return self._wait(
            lambda: [death for death in self.deaths() if death["pid"] == pid], 1, f"death of {pid}"
        )

    def ready_workers(self, generation: int = 1) -> list[int]:
        """The pids of the living workers of a generation that have become ready."""
        ready = self.notes("worker", "ready", generation=generation)
        return [note["pid"] for note in ready if is_alive(note["pid"])]

    def children(self) -> list[int]:
        """The pids of the master's children."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def wait_for_workers(
        self, count: int = 2, generation: int = 1, seconds: float = 20.0
    ) -> list[int]:
        """Wait until exactly so many workers of a generation are ready; their pids."""

        def found() -> list[int] | None:
            pids = self.ready_workers(generation)
            return pids if len(pids) == count else None

        try:
            pids = eventually(found, seconds)
        except AssertionError as error:
            raise AssertionError(f"not {count} workers:\n{self.told()}") from error
        assert pids is not None
        return pids

    def wait_until_it_knows(self, pids: Sequence[int]) -> None:
        """Wait until the master has told maintenance of these; a worker may be ready before."""

        def is_told() -> bool:
            heard = self.notes("maintenance", "heard", op="tree")
            trees = ({one["pid"] for one in note["told"]["processes"]} for note in heard)
            return any(tree.issuperset(pids) for tree in trees)

        eventually(is_told)

    def say_as_maintenance(self, op: str, **fields: Any) -> None:
        """Let maintenance send a message to the master."""
        draft = self._folder / "say.draft"
        draft.write_text(json.dumps({"op": op, **fields}))
        draft.rename(self._folder / "say")


@contextmanager
def supervised(folder: Path) -> Iterator[Supervised]:
    """A folder for a master over stand-ins; whatever it started ends with the block."""
    master = Supervised(folder)
    try:
        yield master
    finally:
        master.close()
