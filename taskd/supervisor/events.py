"""What the master has to tell."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.events import Event, counted


class Said(Event):
    """A sentence for whoever started the daemon."""

    text: str

    def __str__(self) -> str:
        return self.text


class Started(Event):
    """The tree is complete for the first time: all workers wanted are ready."""

    workers: int
    seconds: float

    def __str__(self) -> str:
        plural = "worker is" if self.workers == 1 else "workers are"
        return f"ready: {self.workers} {plural} waiting for jobs, after {self.seconds:.1f} s"


class WorkerStarted(Event):
    """A worker was forked."""

    level: ClassVar[int] = logging.DEBUG
    pool: str
    slot: int
    pid: int
    generation: int

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: started, pid {self.pid}, generation {self.generation}"


class WorkerEnded(Event):
    """A worker ended as it was told to."""

    level: ClassVar[int] = logging.DEBUG
    pool: str
    slot: int
    pid: int
    how: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: pid {self.pid} {self.how}"


class WorkerDied(Event):
    """A worker ended and nobody had told it to; its jobs go back."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    pid: int
    how: str
    in_flight: int
    pause: float

    def __str__(self) -> str:
        verb = "goes" if self.in_flight == 1 else "go"
        back = f"; {counted(self.in_flight, 'job')} in flight {verb} back" if self.in_flight else ""
        wait = f"; the next start in {self.pause:.1f} s" if self.pause else ""
        return f"{self.pool}/{self.slot}: pid {self.pid} {self.how}{back}{wait}"


class WorkerDrains(Event):
    """A worker takes no more jobs."""

    level: ClassVar[int] = logging.DEBUG
    pool: str
    slot: int
    reason: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: drains, because {self.reason}"


class WorkerInterrupted(Event):
    """A worker did not finish in time; its jobs go back unfinished, uncharged."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    in_flight: int

    def __str__(self) -> str:
        verb = "is" if self.in_flight == 1 else "are"
        jobs = f"{counted(self.in_flight, 'job')}, which {verb} given back"
        return f"{self.pool}/{self.slot}: still runs {jobs}"


class WorkerKilled(Event):
    """A worker had to be killed."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    reason: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: killed, because {self.reason}"


class JobOverTime(Event):
    """A process worker's job has used up its time."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    job: int

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: job {self.job} is over its timeout"


class HelperDied(Event):
    """A seed, a forkserver or maintenance ended; it is started again."""

    level: ClassVar[int] = logging.WARNING
    role: str
    pid: int
    how: str
    pause: float

    def __str__(self) -> str:
        wait = f" in {self.pause:.1f} s" if self.pause else ""
        return f"{self.role}: pid {self.pid} {self.how}; it is started again{wait}"


class CannotStart(Event):
    """A process could not be started; it is tried again."""

    level: ClassVar[int] = logging.ERROR
    role: str
    error: str

    def __str__(self) -> str:
        return f"{self.role} cannot start: {self.error}"


class SeedHangs(Event):
    """A seed has not become ready; it is killed, and started anew after a pause."""

    level: ClassVar[int] = logging.ERROR
    kind: str
    pid: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"seed {self.kind}: pid {self.pid} was not ready within {self.seconds:.0f} s, killing "
            "it: does the disk that Python and taskd are on answer?"
        )


class MaintenanceHangs(Event):
    """Maintenance has shown no sign of life for a third of the lease; it is replaced."""

    level: ClassVar[int] = logging.ERROR
    pid: int
    seconds: float

    def __str__(self) -> str:
        return f"maintenance: pid {self.pid} gave no sign for {self.seconds:.1f} s, it is replaced"


class ImportFailed(Event):
    """The users' code does not import; what ran before goes on."""

    level: ClassVar[int] = logging.ERROR
    pool: str
    error: str
    goes_on: bool

    def __str__(self) -> str:
        rest = "; the old code keeps running" if self.goes_on else ""
        return f"pool {self.pool} did not import: {self.error}{rest}"


class ImportsAfterFork(Event):
    """Importing left something open that cannot be shared between forks."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"pool {self.pool}: importing leaves open {', '.join(self.found)}, which processes "
            "cannot share; each worker imports by itself, which takes more memory and time: "
            "open such things when a job first needs them"
        )


class ReloadFailed(Event):
    """The configuration cannot be used; the old one stays."""

    level: ClassVar[int] = logging.ERROR
    faults: str

    def __str__(self) -> str:
        return f"reload refused, the old configuration stays in force:\n{self.faults}"


class Reloaded(Event):
    """A new generation is being made."""

    generation: int

    def __str__(self) -> str:
        return f"reload: generation {self.generation} imports the code"


class NeedsRestart(Event):
    """A reload found settings changed that only a restart changes; the old ones stay."""

    level: ClassVar[int] = logging.WARNING
    settings: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(self.settings)
        return f"reload: {names} changed, but stays as it was until the daemon is restarted"


class GenerationComplete(Event):
    """Every worker runs the newest code."""

    generation: int

    def __str__(self) -> str:
        return f"generation {self.generation}: all workers are replaced"


class Stops(Event):
    """The daemon was told to stop."""

    why: str

    def __str__(self) -> str:
        return self.why


class Stopped(Event):
    """The daemon has ended as it was told to."""

    seconds: float

    def __str__(self) -> str:
        return f"stopped, after {self.seconds:.1f} s"


class DatabaseTried(Event):
    """Maintenance could not open the database and tries again."""

    level: ClassVar[int] = logging.WARNING
    error: str

    def __str__(self) -> str:
        return f"waiting for the database: {self.error}"


class Fatal(Event):
    """The daemon cannot run."""

    level: ClassVar[int] = logging.ERROR
    error: str

    def __str__(self) -> str:
        return f"cannot go on: {self.error}"


class NoSlotLeft(Event):
    """More workers are wanted than the daemon was started with room for."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slots: int

    def __str__(self) -> str:
        return f"pool {self.pool}: all {self.slots} slots are taken; restart the daemon to get more"
