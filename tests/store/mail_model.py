"""What jobs, resources and dependencies should do, told with lists and loops.

mail_machine.py makes each call here and in PostgreSQL, and compares. Time is in minutes and passes
only when told to. Nothing here is clever on purpose: where the SQL reads a few rows of an index,
this looks at everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

EVERYTHING = 2147483647
GIVEN_BACK_LANE = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """A job as it is asked for. parents > 0 are ids, -n the n-th job of the same call."""

    queue: str = "a"
    priority: int = 5
    needs: dict[str, int] = field(default_factory=dict)
    parents: tuple[int, ...] = ()
    run_if_failed: bool = False
    delay: int = 0
    key: str | None = None
    until: str = "finished"
    on_conflict: str = "keep"
    args: str = "[]"


@dataclass(slots=True)
class Job:
    """A job: what was asked for, and where it is."""

    id: int
    wish: Wish
    queue: str
    args: str
    due: tuple[int, int]  # minute, and a number that keeps the order of calls
    key: str | None = None
    table: str = "nowhere"
    lane: int = 0
    seq: int = 0
    stage: str = ""
    place: int | None = None
    fence: int = 0
    worker: int = 0
    attempt: int = 0
    losses: int = 0
    is_to_be_cancelled: bool = False
    state: str = ""
    error: str | None = None

    @property
    def holds(self) -> bool:
        """Whether it stands in lines, or holds what it needs."""
        return self.place is not None


@dataclass(slots=True)
class Entry:
    """A job's place in the line of one resource."""

    job: int
    need: int
    is_granted: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """f, c, k, a: jobs, and for f whether they ended well. r: (resource, place or None)."""

    kind: str
    jobs: tuple[int, ...] = ()
    well: tuple[bool, ...] = ()
    entries: tuple[tuple[str, int | None], ...] = ()


class Model:
    """All of it: each public method is a call of the store."""

    def __init__(self) -> None:
        self.now = 0
        self.jobs: dict[int, Job] = {}
        self.mail: list[Letter] = []
        self.parents: set[tuple[int, int]] = set()
        self.capacity: dict[str, int] = {}
        self.lines: dict[str, dict[int, Entry]] = {}
        self.keys: dict[str, tuple[int, int | None]] = {}
        self._numbers = 0

    def _number(self) -> int:
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

    def line(self, name: str) -> list[Entry]:
        """Who holds or wants a resource, by place."""
        return [entry for _, entry in sorted(self.lines.get(name, {}).items())]

    def used(self, name: str) -> int:
        """The units of a resource that are held."""
        return sum(entry.need for entry in self.line(name) if entry.is_granted)

    def fits(self, name: str, need: int) -> bool:
        """The one rule for shared, counted and exclusive holders."""
        units, used = self.capacity.get(name, EVERYTHING), self.used(name)
        return units > 0 and (used == 0 or used + need <= units)

    def pending(self, job: Job) -> int:
        """How much a blocked job still waits for."""
        if job.stage == "p":
            return sum(child == job.id for _, child in self.parents)
        if job.stage == "l":
            assert job.place is not None
            return sum(not self.lines[name][job.place].is_granted for name in job.wish.needs)
        return 0

    # Enqueue.

    def enqueue(
        self, ids: Sequence[int], wishes: Sequence[Wish], self_id: int | None = None
    ) -> list[int]:
        """New jobs under these ids; -id where another job holds the key already."""
        given = list(ids)
        self._take_keys(given, wishes, self_id)
        arrivals, late = [], []
        for number, wish in zip(given, wishes, strict=True):
            if number < 0:
                continue
            job = self._new(number, wish)
            named = [given[-p - 1] if p < 0 else p for p in wish.parents]
            self.parents |= {(abs(p), number) for p in named}
            if any(p > 0 for p in wish.parents) or any(p < 0 for p in named):
                late.append(number)
            if wish.parents:
                job.table, job.stage = "blocked", "p"
            elif wish.delay > 0:
                job.table = "scheduled"
            elif wish.needs:
                job.table, job.stage = "blocked", "i"
                arrivals.append(number)
            else:
                self._queue(job)
        self._change_new(given, wishes, ids[0])
        self._send_arrivals(arrivals)
        if late:
            self.mail.append(Letter("k", tuple(late)))
        return given

    def _new(self, number: int, wish: Wish) -> Job:
        job = Job(number, wish, wish.queue, wish.args, (self.now + wish.delay, self._number()))
        if wish.key is not None and wish.until in ("started", "finished"):
            job.key = wish.key
        self.jobs[number] = job
        return job

    def _queue(self, job: Job, lane: int | None = None) -> None:
        job.table, job.stage, job.seq = "queued", "", self._number()
        job.lane = job.wish.priority if lane is None else lane

    def _send_arrivals(self, jobs: Sequence[int]) -> None:
        if jobs:
            self.mail.append(Letter("a", tuple(jobs)))

    # Unique keys.

    def _take_keys(self, given: list[int], wishes: Sequence[Wish], self_id: int | None) -> None:
        asked = [(i, wish, wish.key) for i, wish in enumerate(wishes) if wish.key is not None]
        first, number = given[0], self._number()
        for i, wish, key in asked:
            holder = self.keys.get(key)
            if holder is None or self._is_free(holder, first, self_id):
                is_window = wish.until not in ("started", "finished")
                self.keys[key] = (given[i], self.now + int(wish.until) // 60 if is_window else None)
            else:
                given[i] = -holder[0]
        for i, wish, _ in asked:
            if given[i] < 0 and -given[i] in self.jobs:
                self._change_waiting(self.jobs[-given[i]], wish, number)

    def _is_free(self, holder: tuple[int, int | None], first: int, self_id: int | None) -> bool:
        job, ends = holder
        if job >= first:
            return False  # of the same call
        if ends is not None:
            return job == self_id or ends <= self.now
        return job == self_id or self.jobs[job].table == "history"

    def _change_waiting(self, job: Job, wish: Wish, number: int) -> None:
        if wish.on_conflict == "replace" and job.table in ("queued", "scheduled"):
            job.args = wish.args
        if wish.on_conflict == "earlier" and job.table == "scheduled":
            job.due = min(job.due, (self.now + wish.delay, number))

    def _change_new(self, given: Sequence[int], wishes: Sequence[Wish], first: int) -> None:
        for holder, wish in zip(given, wishes, strict=True):
            if -holder >= first:  # of the same call
                job = self.jobs[-holder]
                self._change_waiting(job, wish, self._number())
                if wish.on_conflict == "replace":
                    job.args = wish.args

    def _drop_key(self, job: Job) -> None:
        if job.key is not None and self.keys.get(job.key, (None,))[0] == job.id:
            del self.keys[job.key]

    # Claim, and the ends of attempts.

    def claim(
        self, lanes: Iterable[tuple[str, int]], count: int, worker: int, fences: Iterable[int]
    ) -> list[int]:
        """The ids in the order of the claim; each gets the next of these fences."""
        found = [job for queue, lane in lanes for job in self.lane(queue, lane)][:count]
        for job, fence in zip(found, fences, strict=True):
            job.table, job.fence, job.worker = "running", fence, worker
            job.attempt += 1
            if job.wish.until == "started":
                self._drop_key(job)
        return [job.id for job in found]

    def complete(self, ends: Sequence[tuple[int, str]], tells_all: bool = False) -> None:
        """End running jobs as s, f or c. tells_all: with a snapshot that may miss children."""
        self._end([(self.jobs[number], state, None) for number, state in ends], tells_all)

    def _end(self, ends: Sequence[tuple[Job, str, str | None]], tells_all: bool = False) -> None:
        self._send_releases([job for job, _, _ in ends])
        for job, state, error in ends:
            self._drop_key(job)
            job.table, job.state, job.error = "history", state, error
        told = [
            (job.id, state == "s")
            for job, state, _ in ends
            if tells_all or any(parent == job.id for parent, _ in self.parents)
        ]
        if told:
            ids, well = zip(*told, strict=True)
            self.mail.append(Letter("f", ids, well))

    def _send_releases(self, jobs: Sequence[Job]) -> None:
        entries = tuple((name, job.place) for job in jobs if job.holds for name in job.wish.needs)
        if entries:
            self.mail.append(Letter("r", entries=entries))
        for job in jobs:
            job.place = None

    def retry(self, retries: Sequence[tuple[int, str, int, bool]]) -> None:
        """End attempts: (job, outcome, delay, release)."""
        arrivals, over, released = [], [], []
        for number, outcome, delay, release in sorted(retries):
            job = self.jobs[number]
            if job.is_to_be_cancelled:
                over.append(job)
                continue
            if outcome in ("z", "i"):
                job.attempt -= 1
            lets_go = release and job.holds
            if lets_go:
                released.append(job)
            if delay > 0:
                job.table, job.due = "scheduled", (self.now + delay, self._number())
            elif lets_go:
                job.table, job.stage = "blocked", "i"
                arrivals.append(number)
            else:
                self._queue(job, GIVEN_BACK_LANE if outcome == "i" else None)
        self._send_arrivals(arrivals)
        for job in over:
            job.table = "history"
        self._send_releases([*released, *over])
        self._end([(job, "c", "cancelled while it ran") for job in over])

    def give_back(self, numbers: Iterable[int]) -> int:
        """Return claimed jobs that never started; how many went back."""
        jobs = [self.jobs[number] for number in sorted(numbers)]
        over = [job for job in jobs if job.is_to_be_cancelled]
        for job in jobs:
            job.attempt -= 1
            if not job.is_to_be_cancelled:
                self._queue(job, GIVEN_BACK_LANE)
        self._end([(job, "c", "cancelled") for job in over])
        return len(jobs) - len(over)

    def rescue(self, worker: int, reason: str, charge: bool, max_losses: int) -> tuple[int, int]:
        """End a worker: how many jobs went back, and how many failed."""
        given_back = failed = 0
        ends: list[tuple[Job, str, str | None]] = []
        for job in [job for job in self.inside("running") if job.worker == worker]:
            job.losses += charge
            if job.is_to_be_cancelled:
                ends.append((job, "c", f"cancelled while it ran; its worker is gone: {reason}"))
            elif charge and job.losses >= max_losses:
                failed += 1
                why = f"poisoned: its worker was lost {job.losses} times, the last time because: "
                ends.append((job, "f", why + reason))
            else:
                given_back += 1
                job.attempt -= 1
                self._queue(job, GIVEN_BACK_LANE)
        self._end(ends)
        return given_back, failed

    # What waits.

    def pass_time(self, minutes: int) -> None:
        """Let time pass; nothing else happens by itself."""
        self.now += minutes

    def promote(self, count: int) -> int:
        """What is due enters its queue, or its lines."""
        due = [job for job in self.scheduled() if job.due[0] <= self.now][:count]
        arrivals = []
        for job in due:
            if job.wish.needs and not job.holds:
                job.table, job.stage = "blocked", "i"
                arrivals.append(job.id)
            else:
                self._queue(job)
        self._send_arrivals(arrivals)
        return len(due)

    def cancel(self, numbers: Iterable[int]) -> None:
        """Send the letter."""
        self.mail.append(Letter("c", tuple(numbers)))

    def outcome(self, number: int, was_over: bool) -> str:
        """What a cancel says that has been dispatched."""
        job = self.jobs.get(number)
        if job is None:
            return "unknown"
        if job.table != "history":
            return "cancelling"
        return "ended" if was_over else "cancelled"

    def requeue(self, ids: Sequence[int], olds: Sequence[int]) -> None:
        """Ended jobs once more, as new ones under these ids."""
        wishes = []
        for old in olds:
            job = self.jobs[old]
            needs, priority = job.wish.needs, job.wish.priority
            wishes.append(Wish(queue=job.queue, priority=priority, needs=needs, args=job.args))
        self.enqueue(ids, wishes)

    def move(self, numbers: Iterable[int], queue: str) -> int:
        """What waits waits in another queue instead, behind those that are there."""
        jobs = [self.jobs[n] for n in set(numbers) if n in self.jobs]
        moved = [
            j for j in jobs if j.table in ("queued", "scheduled", "blocked") and j.queue != queue
        ]
        for job in sorted(moved, key=lambda job: (job.lane, job.seq)):
            job.queue = queue
            if job.table == "queued":
                self._queue(job, job.lane)
        return len(moved)

    def set_capacity(self, name: str, units: int | None) -> None:
        """How much there is of a resource; None: any number of shared holders."""
        self.capacity.pop(name, None)
        if units is not None:
            self.capacity[name] = units
        self.mail.append(Letter("r", entries=((name, None),)))

    # The dispatcher.

    def dispatch(self, letters: int = 100, rounds: int = 10, arrivals: int = 500) -> int:
        """Work off letters; how many."""
        total, room = 0, arrivals
        for _ in range(rounds):
            taken = self._take_letters(letters, room)
            room -= sum(len(letter.jobs) for letter in taken if letter.kind == "a")
            total += len(taken)
            if taken:
                self._work_off(taken)
            if not taken or not self.mail:
                break
        return total

    def _take_letters(self, letters: int, room: int) -> list[Letter]:
        taken = [letter for letter in self.mail if letter.kind != "a"][:letters]
        admitted = 0
        for letter in [letter for letter in self.mail if letter.kind == "a"][:letters]:
            if admitted >= room:
                break
            taken.append(letter)
            admitted += len(letter.jobs)
        self.mail = [letter for letter in self.mail if not any(letter is t for t in taken)]
        return taken

    def _work_off(self, letters: Sequence[Letter]) -> None:
        def jobs_in(kind: str) -> list[int]:
            return [job for letter in letters if letter.kind == kind for job in letter.jobs]

        ended: dict[int, bool] = {}
        for letter in letters:
            if letter.kind == "f":
                for job, well in zip(letter.jobs, letter.well, strict=True):
                    ended[job] = ended.get(job, True) and well
        ended |= self._look_for_ended_parents(jobs_in("k"))
        doomed, arrivals = self._tell_children(ended)
        touched = self._cancel_waiting(jobs_in("c"), doomed)
        for name, place in [entry for letter in letters for entry in letter.entries]:
            touched.add(name)
            if place is not None:
                del self.lines[name][place]
        self._move_lines_up(touched)
        self._join_lines([*jobs_in("a"), *arrivals])

    def _look_for_ended_parents(self, children: Sequence[int]) -> dict[int, bool]:
        parents = {parent for parent, child in self.parents if child in children}
        over = (self.jobs[parent] for parent in parents if self.jobs[parent].table == "history")
        return {job.id: job.state == "s" for job in over}

    def _tell_children(self, ended: dict[int, bool]) -> tuple[set[int], list[int]]:
        well: dict[int, bool] = {}
        for parent, child in sorted(self.parents):
            if parent in ended:
                self.parents.discard((parent, child))
                well[child] = well.get(child, True) and ended[parent]
        doomed, arrivals = set(), []
        for child in sorted(well):
            job = self.jobs[child]
            if not well[child] and not job.wish.run_if_failed:
                doomed.add(child)
            elif self.pending(job) == 0:
                if job.wish.needs and job.due[0] <= self.now:
                    arrivals.append(child)
                else:
                    self._start(job)
        return doomed, arrivals

    def _start(self, job: Job) -> None:
        if job.due[0] > self.now:
            job.table, job.stage = "scheduled", ""
        else:
            self._queue(job)

    def _cancel_waiting(self, cancels: Iterable[int], doomed: set[int]) -> set[str]:
        touched, gone = set(), []
        for number in sorted({*cancels, *doomed} & self.jobs.keys()):
            job = self.jobs[number]
            if job.table == "running":
                job.is_to_be_cancelled = True
            if job.table not in ("queued", "scheduled", "blocked"):
                continue
            gone.append(job)
            self.parents -= {(p, child) for p, child in self.parents if child == number}
            if job.place is not None:
                for name in job.wish.needs:
                    del self.lines[name][job.place]
                    touched.add(name)
                job.place = None
        why = "a job that it came after did not succeed"
        self._end([(job, "c", why if job.id in doomed else "cancelled") for job in gone])
        return touched

    def _move_lines_up(self, names: Iterable[str]) -> None:
        ready: dict[int, int] = {}
        for name in names:
            for place, entry in sorted(self.lines.get(name, {}).items()):
                if entry.is_granted:
                    continue
                if not self.fits(name, entry.need):
                    break
                entry.is_granted = True
                ready[place] = entry.job
        for _, number in sorted(ready.items()):
            if self.pending(self.jobs[number]) == 0:
                self._start(self.jobs[number])

    def _join_lines(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            job = self.jobs[number]
            if job.table != "blocked":
                continue
            job.stage, job.place = "l", self._number()
            for name, need in job.wish.needs.items():
                all_hold = all(entry.is_granted for entry in self.line(name))
                is_granted = all_hold and self.fits(name, need)
                self.lines.setdefault(name, {})[job.place] = Entry(number, need, is_granted)
            if self.pending(job) == 0:
                self._start(job)
