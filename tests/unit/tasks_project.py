"""A user's modules for tests of tasks, and a client that keeps what was enqueued."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest

from taskd.clock import utc_now
from taskd.errors import JobUnknown
from taskd.store.rows import JobRow, NewGraph, NewJobs, State
from taskd.tasks.client import with_client
from taskd.tasks.registry import registry

R = TypeVar("R")


class UserCode:
    """A folder of modules on the import path; all of them are forgotten when the test ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def module(self, name: str, text: str) -> ModuleType:
        """Write a module and import it."""
        self.write(f"{name.replace('.', '/')}.py", text)
        return __import__(name, fromlist=["*"])


@contextmanager
def user_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    known, tasks = set(sys.modules), dict(registry._tasks)
    monkeypatch.syspath_prepend(str(folder))
    yield UserCode(folder)
    for name in set(sys.modules) - known:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    registry._tasks.clear()
    registry._tasks.update(tasks)


class MemoryClient:
    """Keeps jobs in lists, as a store would in tables."""

    max_args = 1000

    def __init__(self) -> None:
        self.batches: list[NewJobs | NewGraph] = []
        self.connections: list[object] = []
        self.rows: dict[int, list[JobRow]] = {}
        self.offers: dict[str, dict[str, Any]] = {}
        self.closed = 0
        self._count = 0

    def store(self, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
        self.batches += batches
        ids: list[int] = []
        for batch in batches:
            count = len(batch.jobs if isinstance(batch, NewGraph) else batch.args)
            ids += range(self._count + 1, self._count + 1 + count)
            self._count += count
        return ids

    def store_parts(
        self, parts: Iterable[NewJobs], read: Callable[[list[int]], list[R]]
    ) -> list[R]:
        return read(self.store(list(parts)))

    def store_on(self, connection: Any, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
        self.connections.append(connection)
        return self.store(batches)

    def fetch(self, job_id: int) -> JobRow:
        """The next of the rows given for this job; the last one again and again."""
        rows = self.rows.get(job_id)
        if rows is None:
            raise JobUnknown(job_id, "the memory of this test")
        return rows.pop(0) if len(rows) > 1 else rows[0]

    def find_offer(self, name: str, connection: Any) -> Mapping[str, Any] | None:
        return self.offers.get(name)

    def close(self) -> None:
        self.closed += 1


@contextmanager
def memory_client() -> Iterator[MemoryClient]:
    """Let this process use a client in memory, and then again none."""
    made = MemoryClient()
    with with_client(made):
        yield made


def job_row(state: str, **fields: Any) -> JobRow:
    """A row as the store gives it."""
    usual: dict[str, Any] = {
        "id": 1,
        "task": "shop.fetch",
        "queue": "default",
        "state": State(state),
        "priority": 5,
        "attempt": 1,
        "max_attempts": 1,
        "losses": 0,
        "crashes": 0,
        "timeout": None,
        "args": [],
        "kwargs": {},
        "result": None,
        "error": None,
        "traceback": None,
        "created_at": utc_now(),
        "run_at": None,
        "ready_at": None,
        "started_at": None,
        "finished_at": None,
        "worker": None,
    }
    return JobRow(**{**usual, **fields})
