"""What the plan can ask for."""

from __future__ import annotations

from dataclasses import dataclass

from taskd.board import Why


@dataclass(frozen=True, slots=True)
class Start:
    """Fork a worker for a pool; `replaces` is the slot of the one it will stand in for.

    `why` is the end of a sentence about that one for people; empty if they need not hear of it. A
    canary stands beside the workers that are wanted.
    """

    pool: str
    replaces: int | None = None
    why: str = ""
    is_canary: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """Let a worker claim no more and end when its jobs have."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Take a worker that drains without an order for one that was ordered to."""

    slot: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Let a draining worker's jobs go back to the queue at once."""

    slot: int


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell a process worker that the time of its job is over."""

    slot: int
    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Let a greenlet worker whose hub stands still write who computes there.

    `in_c`: it did not answer in Python, so ask what is executed under it.
    """

    slot: int
    in_c: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Tell people who holds up a hub, or has held it up for `seconds`."""

    slot: int
    seconds: float
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Break:
    """Raise inside the job that holds up its hub."""

    slot: int
    job: int
    why: Why


@dataclass(frozen=True, slots=True)
class Dump:
    """Let a worker that is to be killed write where everybody stands; job 0: for nobody's sake."""

    slot: int
    job: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker. `charge`: all of its jobs share the blame.

    `culprit` is the one job that it is killed for, and `why`; then the others go back uncharged.
    With `suspects`, only these share the blame.
    """

    slot: int
    reason: str
    charge: bool = False
    culprit: int = 0
    why: Why | None = None
    suspects: tuple[int, ...] = ()


Action = Start | Drain | Note | Interrupt | Warn | Ask | Report | Break | Dump | Kill
