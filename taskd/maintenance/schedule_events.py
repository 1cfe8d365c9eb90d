"""What maintenance has to tell of schedules."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import ClassVar

from taskd.events import Event


class SlotFired(Event):
    """A slot has its job, or several slots have theirs."""

    level: ClassVar[int] = logging.DEBUG
    name: str
    slot: datetime
    jobs: tuple[int, ...]

    def __str__(self) -> str:
        jobs = ", ".join(map(str, self.jobs))
        return f"schedule {self.name}: {self.slot:%Y-%m-%d %H:%M:%S %Z} enqueued job {jobs}"


class SlotsMissed(Event):
    """Slots came while no daemon saw to them; `jobs` is how many jobs make up for them."""

    name: str
    since: datetime
    jobs: int
    catch_up: str

    def __str__(self) -> str:
        made = f"{self.jobs} jobs make" if self.jobs > 1 else f"{self.jobs or 'no'} job makes"
        return (
            f"schedule {self.name} was due at {self.since:%Y-%m-%d %H:%M:%S %Z} and nobody saw to "
            f"it: {made} up for it (catch_up: {self.catch_up})"
        )


class SlotSkipped(Event):
    """A slot passed without a job of its own."""

    name: str
    slot: datetime
    reason: str

    def __str__(self) -> str:
        return (
            f"schedule {self.name}: {self.slot:%Y-%m-%d %H:%M:%S %Z} is skipped, for {self.reason}"
        )


class ScheduleUnusable(Event):
    """A schedule cannot be understood on this host; told once for each definition."""

    level: ClassVar[int] = logging.ERROR
    name: str
    reason: str

    def __str__(self) -> str:
        return f"schedule {self.name} cannot be seen to on this host: {self.reason}"


class ScheduleTaskUnknown(Event):
    """The file schedules a task that no code here offers; its jobs will fail unless others do."""

    level: ClassVar[int] = logging.WARNING
    name: str
    task: str

    def __str__(self) -> str:
        return f"schedule {self.name}: no module of `imports` offers the task {self.task}"


class ScheduleMisfit(Event):
    """The file schedules a task with arguments that it does not take, so its jobs will fail."""

    level: ClassVar[int] = logging.ERROR
    name: str
    reason: str

    def __str__(self) -> str:
        return (
            f"schedule {self.name}: its jobs will fail, for {self.reason}: "
            "correct its args and kwargs"
        )


class ScheduleOverridden(Event):
    """The file and the code have a schedule of one name."""

    name: str

    def __str__(self) -> str:
        return f"schedule {self.name}: the one of the file holds, not that of the code"


class ScheduleChanged(Event):
    """A schedule is new, another than before, or gone; `next_at` is its next slot."""

    name: str
    change: str
    next_at: datetime | None

    def __str__(self) -> str:
        if self.next_at is None:
            return f"schedule {self.name} {self.change}"
        return f"schedule {self.name} {self.change}, next {self.next_at:%Y-%m-%d %H:%M:%S %Z}"
