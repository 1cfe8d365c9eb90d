"""What the harness has to know of a system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Store(StrEnum):
    """Where a system keeps its jobs, and how durably."""

    POSTGRES = "PostgreSQL"
    REDIS_ALWAYS = "Redis, always"
    """`appendfsync always`: a job that was enqueued survives a power cut, as in PostgreSQL."""
    REDIS_EVERYSEC = "Redis, everysec"
    """`appendfsync everysec`, as most people run it: a power cut takes the last second's jobs."""


ON_REDIS = (Store.REDIS_ALWAYS, Store.REDIS_EVERYSEC)


@dataclass(frozen=True, slots=True)
class Load:
    """How many workers are wanted, for what kind of jobs."""

    processes: int
    slots: int = 25
    """Jobs that one process may run at a time."""
    is_short: bool = True
    """The jobs take no time: fetch many at once. Else a job fetched early waits for a slot."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where its workers run."""

    programs: Path
    """The folder of the programs of its environment."""
    redis: Path | None
    """The socket of Redis, for who uses it."""
    keeps_history: bool


Command = list[str]
Commands = Callable[[Place, Load], list[Command]]


def _one_each(load: Load) -> int:
    return load.processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A system. `folder` is its folder below benchmarks/peers."""

    folder: str
    stores: tuple[Store, ...]
    commands: Commands
    """The processes to start: a command each."""
    keeps: str
    """What is left of a job that has ended."""
    worker_processes: Callable[[Load], int] = _one_each
    """How many processes run jobs."""

    @property
    def app(self) -> str:
        return f"benchmarks.peers.{self.folder}.app"

    @property
    def requirements(self) -> Path:
        return Path(__file__).parent / self.folder / "requirements.txt"


@dataclass(frozen=True, slots=True)
class System:
    """A peer on one of the stores it can use: what is measured."""

    peer: Peer
    store: Store

    @property
    def name(self) -> str:
        first = self.store is self.peer.stores[0]
        suffix = {Store.POSTGRES: "-postgres", Store.REDIS_ALWAYS: "-always"}
        return self.peer.folder + ("" if first else suffix.get(self.store, "-everysec"))

    @property
    def is_ours(self) -> bool:
        return self.peer.folder == "taskd"
