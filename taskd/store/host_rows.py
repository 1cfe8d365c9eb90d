"""What a host learns from its beat and is ordered to do, and how it judges the dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from taskd.store.rows import WaitingLane


@dataclass(frozen=True, slots=True)
class Beat:
    """What a host learns from its own beat.

    others: the beats of the other living hosts by id; due: seconds until the first scheduled job
    is due, negative when overdue; slot: likewise, until the first slot of a schedule; requests: the
    newest request's id, 0 for none; mail: whether letters wait for a dispatcher; lanes: all lanes
    that hold a job, if they were asked for, which took look_seconds.
    """

    alive: bool
    others: dict[int, int]
    due: float | None
    slot: float | None
    requests: int
    paused: frozenset[str]
    mail: bool = False
    lanes: tuple[WaitingLane, ...] | None = None
    look_seconds: float = 0.0


class Request(NamedTuple):
    """An order: "cancel" a job of a worker, "drain" or "stop" one, "report", or "hunt" in a pool.

    The rest is None.

    "stacks" and "heap" are questions to a worker; see taskd.store.questions.
    """

    kind: str
    worker: int | None = None
    job: int | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Beside who has died: how much a job may bear, and whether one of them was to blame.

    The workers were killed because of the job `culprit` (0: of none), `why` is "timeout", "hog",
    "memory" or "cancel"; "crash": it ran alone when its worker died. `stack` is where the job
    `stood` stood, which is thereby no more to blame than the others; of 0 it is not kept.
    `begun` are the jobs that had begun and not ended, as far as is known, or those of them that may
    be to blame. `interrupted`: the workers had been told to stop.
    """

    max_losses: int = 5
    max_crashes: int = 3
    culprit: int = 0
    why: str = ""
    stack: str = ""
    stood: int = 0
    interrupted: bool = False
    begun: tuple[int, ...] | None = None


USUAL_JUDGEMENT = Judgement()


class Rescued(NamedTuple):
    """What became of the jobs of dead workers."""

    given_back: int
    failed: int
