"""The values of the model: jobs as they are asked for and as they are, letters, words on limits."""

from __future__ import annotations

from dataclasses import dataclass, field

EVERYTHING = 2147483647
GIVEN_BACK_LANE = 10
QUARANTINE_LANE = 11
PAUSE = 30
"""The minutes that stand for the seconds of a culprit's pause: time passes only when told to."""

WAITING = ("queued", "scheduled", "blocked")

_LEVELS = ("", "@key", "@task", "@queue")


def level(name: str) -> int:
    """In which step a job asks for a resource."""
    return _LEVELS.index(name.split(" ")[0]) if name.startswith("@") else 0


def is_gate(name: str) -> bool:
    """Whether it is the limit of a queue."""
    return level(name) == 3


def in_order(needs: dict[str, int]) -> dict[str, int]:
    """By steps, and by name within one."""
    return {name: needs[name] for name in sorted(needs, key=lambda name: (level(name), name))}


@dataclass(frozen=True, slots=True)
class Terms:
    """What somebody says of a limit: how many at once, and how long it takes until a token comes.

    None: any number. burst: how many tokens are kept.
    """

    units: int | None = None
    minutes: int | None = None
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A job as it is asked for. parents > 0 are ids, -n the n-th job of the same call."""

    queue: str = "a"
    priority: int = 5
    needs: dict[str, int] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)
    said_by: int = 0  # the job whose code said terms, if this one is that once more
    share: str | None = None
    parents: tuple[int, ...] = ()
    run_if_failed: bool = False
    delay: int = 0
    expires: int | None = None  # minutes from the enqueue
    key: str | None = None
    until: str = "finished"
    on_conflict: str = "keep"
    args: str = "[]"
    max_attempts: int = 1
    on_lost: str = "requeue"
    on_interrupt: str = "requeue"
    on_retry: str = "hold"


@dataclass(slots=True)
class Job:
    """A job: what was asked for, and where it is."""

    id: int
    wish: Wish
    queue: str
    args: str
    due: tuple[int, int]  # minute, and a number that keeps the order of calls
    needs: dict[str, int]  # with the limit of its queue, once it has asked for that
    key: str | None = None
    expires: int | None = None  # the minute from which on it is too late to begin, unless it has
    table: str = "nowhere"
    lane: int = 0
    seq: int = 0
    stage: str = ""
    level: int = 0
    place: int | None = None  # in the lines that it joined last
    entries: dict[str, int] = field(default_factory=dict)  # where it stands or holds, by resource
    fence: int = 0
    worker: int = 0
    attempt: int = 0
    losses: int = 0
    crashes: int = 0
    is_to_be_cancelled: bool = False
    state: str = ""
    error: str | None = None
    requeued_as: int | None = None
    called: int = 0  # the number of the last call that replaced its arguments

    @property
    def said_by(self) -> int:
        """The job at whose enqueue its code said what it says of limits."""
        return self.wish.said_by or self.id

    @property
    def is_suspect(self) -> bool:
        """Whether it is to run alone: two workers were lost under it, or it took one down."""
        return self.losses >= 2 or self.crashes >= 1

    @property
    def own(self) -> dict[str, int]:
        """What it has named itself."""
        return {name: need for name, need in self.needs.items() if not is_gate(name)}

    @property
    def has_gate(self) -> bool:
        """Whether it has asked for the limit of its queue."""
        return self.own != self.needs

    @property
    def goes_on(self) -> bool:
        """Whether it has yet to join lines of later levels."""
        return any(level(name) > self.level for name in self.needs)

    def wait(self, stage: str) -> None:
        """It is blocked; in stage l it has passed all that it asks for by now."""
        self.table, self.stage = "blocked", stage
        self.level = max(map(level, self.needs), default=0)


@dataclass(frozen=True, slots=True)
class Call:
    """One that was to change the holder of its key, and the job that it else becomes."""

    number: int
    wish: Wish
    due: tuple[int, int]
    expires: int | None


@dataclass(frozen=True, slots=True)
class Letter:
    """f, c, k, a, u: jobs, and for f whether they ended well. r: (resource, place or None).

    u: calls, one for each job.
    """

    kind: str
    jobs: tuple[int, ...] = ()
    well: tuple[bool, ...] = ()
    entries: tuple[tuple[str, int | None], ...] = ()
    calls: tuple[Call, ...] = ()
