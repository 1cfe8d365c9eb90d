"""What the master has to tell of memory."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.config.units import roughly
from taskd.events import Event


class WorkerReplaced(Event):
    """A worker is replaced because of what it holds; `why` as the end of a sentence."""

    pool: str
    slot: int
    why: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: {self.why}: it is replaced"


class FreshOverLimit(Event):
    """A worker holds more than its limit before it has run a job: replacing it helps nobody.

    `limit` is "soft" or "hard".
    """

    level: ClassVar[int] = logging.WARNING
    pool: str
    limit: str
    size: int
    fresh: int

    def __str__(self) -> str:
        done = "replaced" if self.limit == "soft" else "killed"
        return (
            f"pool {self.pool}: a fresh worker already holds {roughly(self.fresh)}, over its "
            f"{self.limit} limit of {roughly(self.size)}; until one holds less, no worker is "
            f"{done} for it: raise pools.{self.pool}.memory.{self.limit}, or import less"
        )


class LeakSuspected(Event):
    """What a worker's code holds grows with each job, also after garbage was collected."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    bytes_a_job: float
    jobs: int

    def __str__(self) -> str:
        grown = roughly(int(self.bytes_a_job * self.jobs))
        return (
            f"{self.pool}/{self.slot}: a leak is suspected: what the code holds grows by "
            f"{roughly(round(self.bytes_a_job))} a job, seen over {self.jobs} jobs ({grown}), also "
            "after garbage was collected"
        )


class CanaryStarted(Event):
    """One more worker is started, which traces what it allocates."""

    pool: str
    slot: int

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: a canary is started, to see which task leaks and where"


class SuspicionEnds(Event):
    """What was taken for a leak has stopped to grow."""

    pool: str
    slot: int

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: it grows no more: no leak, maybe a cache that has filled"


class NobodyGivesWay(Event):
    """Memory is short, and no replacement of a worker would change that."""

    level: ClassVar[int] = logging.WARNING
    why: str

    def __str__(self) -> str:
        return (
            f"{self.why}, and no worker has grown so much that its replacement would help: have "
            "fewer processes or more memory"
        )
