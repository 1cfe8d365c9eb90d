"""What the model knows: where each job is, what letters there are, who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskd.board import HOLDERS_FROM
from tests.store.mail_jobs import QUARANTINE_LANE, Call, Job, Letter, Wish, in_order
from tests.store.mail_lines import Lines

Attempt = tuple[int, int, int, str]
"""A job, the fence and the number of an attempt that did not end it, and how that ended."""


class State:
    """The tables. is_busy: somebody else is dispatching, so that letters stay."""

    def __init__(self) -> None:
        self.now = 0
        self.is_busy = False
        self.jobs: dict[int, Job] = {}
        self.attempts: list[Attempt] = []
        self.mail: list[Letter] = []
        self.parents: set[tuple[int, int]] = set()
        self.lines = Lines()
        self._numbers = 0

    def number(self) -> int:
        """One more than the last."""
        self._numbers += 1
        return self._numbers

    # What is where.

    def inside(self, table: str) -> list[Job]:
        """The jobs of a table by id."""
        return [job for _, job in sorted(self.jobs.items()) if job.table == table]

    def lane(self, queue: str, lane: int) -> list[Job]:
        """A lane in the order of its claims."""
        jobs = (job for job in self.inside("queued") if (job.queue, job.lane) == (queue, lane))
        return sorted(jobs, key=lambda job: job.seq)

    def scheduled(self) -> list[Job]:
        """What waits for its time, the earliest first."""
        return sorted(self.inside("scheduled"), key=lambda job: (job.due, job.id))

    def pending(self, job: Job) -> int:
        """How much a blocked job still waits for."""
        if job.stage == "p":
            return sum(child == job.id for _, child in self.parents)
        if job.stage == "l":
            return sum(not self.lines.is_granted(*entry) for entry in job.entries.items())
        return 0

    def gate(self, queue: str, share: str | None) -> str | None:
        """The limit that a job of the queue passes; one with a share passes it in any case."""
        name = f"@queue {queue}"
        return name if share is not None or name in self.lines.capacity else None

    def asks(self, job: Job) -> bool:
        """Whether it has something to ask for before it may enter its queue."""
        return bool(job.needs) or self.gate(job.queue, job.wish.share) is not None

    # What is done to jobs.

    def call(self, number: int, wish: Wish) -> Call:
        """What is asked for now."""
        expires = None if wish.expires is None else self.now + wish.expires
        return Call(number, wish, (self.now + wish.delay, self.number()), expires)

    def add(self, call: Call) -> Job:
        """A new job."""
        wish = call.wish
        job = Job(call.number, wish, wish.queue, wish.args, call.due, in_order(wish.needs))
        job.expires = call.expires
        if wish.key is not None and wish.until in ("started", "finished"):
            job.key = wish.key
        self.jobs[call.number] = job
        return job

    def enter_queue(self, job: Job, lane: int | None = None) -> None:
        """It waits to be claimed, in the lane of its priority and kind unless another is given.

        A suspect is in quarantine in any case.
        """
        job.table, job.stage, job.seq = "queued", "", self.number()
        own = job.wish.priority if job.place is None else HOLDERS_FROM + job.wish.priority
        job.lane = QUARANTINE_LANE if job.is_suspect else own if lane is None else lane

    def start(self, job: Job) -> None:
        """It waits for nothing but its time."""
        if job.due[0] > self.now:
            job.table, job.stage = "scheduled", ""
        else:
            self.enter_queue(job)

    def note_attempt(self, job: Job, outcome: str) -> None:
        """The attempt that it has begun last is over, and it is not."""
        self.attempts.append((job.id, job.fence, job.attempt, outcome))

    def forget(self, job: Job) -> None:
        """It is not known any more."""
        del self.jobs[job.id]
        self.attempts = [attempt for attempt in self.attempts if attempt[0] != job.id]

    def let_go(self, job: Job, names: Iterable[str]) -> list[tuple[str, int | None]]:
        """It holds these no more; what a letter has to say of that."""
        return [(name, job.entries.pop(name)) for name in list(names) if name in job.entries]

    # Letters.

    def send_arrivals(self, jobs: Sequence[int]) -> None:
        """These join their lines."""
        if jobs:
            self.mail.append(Letter("a", tuple(jobs)))

    def send_calls(self, calls: Sequence[tuple[int, Call]]) -> None:
        """These jobs are to be changed."""
        if calls:
            jobs, whole = zip(*calls, strict=True)
            self.mail.append(Letter("u", jobs, calls=whole))

    def send_releases(self, entries: Iterable[tuple[str, int | None]]) -> None:
        """These are given back."""
        if entries := tuple(entries):
            self.mail.append(Letter("r", entries=entries))
