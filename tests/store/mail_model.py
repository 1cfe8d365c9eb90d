"""What jobs, resources, limits and dependencies should do, told with lists and loops.

mail_machine.py makes each call here and in PostgreSQL, and compares. Time is in minutes and passes
only when told to. Nothing here is clever on purpose: where the SQL reads a few rows of an index,
this looks at everything.

    mail_jobs        the values                mail_keys        unique keys
    mail_lines       resources, lines, rates   mail_dispatcher  what letters do
    mail_state       where everything is       mail_limits      what operators say; moves
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.store.mail_dispatcher import Dispatcher, Ends
from tests.store.mail_jobs import GIVEN_BACK_LANE, Job, Letter, Wish, is_gate
from tests.store.mail_keys import Keys
from tests.store.mail_limits import Limits
from tests.store.mail_state import State

Retry = tuple[int, str, int, bool]
"""A job, how its attempt ended, the delay, and whether it lets go of what it holds."""


class Model:
    """All of it: each public method is a call of the store."""

    def __init__(self) -> None:
        self.state = State()
        self.keys = Keys(self.state)
        self.dispatcher = Dispatcher(self.state, self.keys)
        self.limits = Limits(self.state, self.dispatcher)

    # Enqueue.

    def enqueue_graph(
        self,
        ids: Sequence[int],
        wishes: Sequence[Wish],
        self_id: int | None = None,
        is_foreign: bool = False,
    ) -> list[int]:
        """New jobs under these ids; -id where another job holds the key already."""
        given = list(ids)
        self.keys.take(given, wishes, self_id)
        late = [
            number
            for number, wish in zip(given, wishes, strict=True)
            if number > 0 and self._add(number, wish, given)
        ]
        self.keys.change_new(given, wishes, ids[0])
        arrivals = [n for n in given if n > 0 and self.state.jobs[n].stage == "i"]
        self.state.send_arrivals(arrivals)
        if late:
            self.state.mail.append(Letter("k", tuple(late)))
        if (arrivals or late) and not is_foreign:
            self.dispatcher.see_to_mail()
        return given

    def enqueue_jobs(
        self, ids: Sequence[int], wishes: Sequence[Wish], self_id: int | None = None
    ) -> list[int]:
        """The same for jobs of one task, which wait for nothing but their queue, and are alike."""
        given = self.enqueue_graph(ids, wishes, self_id, is_foreign=True)
        wish = wishes[0]
        if not wish.delay and self.state.gate(wish.queue, wish.share):
            self.dispatcher.see_to_mail()
        return given

    def _add(self, number: int, wish: Wish, given: Sequence[int]) -> bool:
        """A new job; whether it comes after one of another call, which may have ended already."""
        job = self.state.add(number, wish)
        if wish.key is not None and wish.until in ("started", "finished"):
            job.key = wish.key
        named = [given[-p - 1] if p < 0 else p for p in wish.parents]
        self.state.parents |= {(abs(p), number) for p in named}
        if wish.parents:
            job.wait("p")
        elif wish.delay > 0:
            job.table = "scheduled"
        elif self.state.asks(job):
            job.wait("i")
        else:
            self.state.enter_queue(job)
        return any(p > 0 for p in wish.parents) or any(p < 0 for p in named)

    # Workers, claims, and the ends of attempts.

    def register_worker(self, worker: int, queues: tuple[str, ...]) -> None:
        """One that runs a job at once has come; where there is no limit, more are let in now."""
        self.state.lines.workers[worker] = queues
        gates = self.state.lines.gates_without_units(queues)
        self.state.send_releases((gate, None) for gate in gates)
        if gates:
            self.dispatcher.see_to_mail()

    def claim(
        self, lanes: Iterable[tuple[str, int]], count: int, worker: int, fences: Iterable[int]
    ) -> list[int]:
        """The ids in the order of the claim; each gets the next of these fences."""
        found = [job for queue, lane in lanes for job in self.state.lane(queue, lane)][:count]
        for job, fence in zip(found, fences, strict=True):
            job.table, job.fence, job.worker = "running", fence, worker
            job.attempt += 1
            if job.wish.until == "started":
                self.keys.drop(job)
        return [job.id for job in found]

    def complete(
        self, ends: Sequence[tuple[int, str]], is_own: bool = True, tells_all: bool = False
    ) -> None:
        """End running jobs as s, f or c. tells_all: with a snapshot that may miss children."""
        self._end([(self.state.jobs[number], how, None) for number, how in ends], tells_all)
        if is_own:
            self.dispatcher.see_to_mail()

    def _end(self, ends: Ends, tells_all: bool = False) -> None:
        freed = [entry for job, _, _ in ends for entry in self.state.let_go(job, job.needs)]
        self.state.send_releases(freed)
        self.dispatcher.end(ends, tells_all)

    def retry(self, retries: Sequence[Retry]) -> None:
        """End attempts, but not their jobs unless they are to be cancelled."""
        jobs = [self.state.jobs[number] for number, *_ in retries]
        over = [job for job in jobs if job.is_to_be_cancelled]
        again = [one for one in sorted(retries) if self.state.jobs[one[0]] not in over]
        freed = []
        is_told = bool(over)
        for one in again:
            job, held = self.state.jobs[one[0]], self.state.jobs[one[0]].place is not None
            freed += self._pause(job, *one[1:])
            is_told = is_told or (held and job.place is None)
        arrivals = [n for n, *_ in again if self.state.jobs[n].stage == "i"]
        self.state.send_arrivals(arrivals)
        freed += [entry for job in over for entry in self.state.let_go(job, job.needs)]
        self.state.send_releases(freed)
        self._end([(job, "c", "cancelled while it ran") for job in over])
        if arrivals or freed or is_told:
            self.dispatcher.see_to_mail()

    def _pause(
        self, job: Job, outcome: str, delay: int, release: bool
    ) -> list[tuple[str, int | None]]:
        """Where a job waits for its next attempt; what it lets go of until then."""
        freed = []
        if outcome in ("z", "i"):
            job.attempt -= 1
        if release or (outcome != "i" and not job.own):
            freed = self.state.let_go(job, job.needs)
            job.place = None
        if delay > 0:  # an open queue is for those who could run
            freed += self.state.let_go(job, filter(is_gate, job.needs))
            job.needs = job.own
            job.table, job.due = "scheduled", (self.state.now + delay, self.state.number())
        elif job.place is None and self.state.asks(job):
            job.wait("i")
        else:
            self.state.enter_queue(job, GIVEN_BACK_LANE if outcome == "i" else None)
        return freed

    def give_back(self, numbers: Iterable[int]) -> int:
        """Return claimed jobs that never started; how many went back."""
        jobs = [self.state.jobs[number] for number in sorted(numbers)]
        over = [job for job in jobs if job.is_to_be_cancelled]
        for job in jobs:
            job.attempt -= 1
            if not job.is_to_be_cancelled:
                self.state.enter_queue(job, GIVEN_BACK_LANE)
        self._end_early([(job, "c", "cancelled") for job in over])
        return len(jobs) - len(over)

    def rescue(self, worker: int, reason: str, charge: bool, max_losses: int) -> tuple[int, int]:
        """End a worker: how many jobs went back, and how many failed."""
        del self.state.lines.workers[worker]
        given_back = failed = 0
        ends: list[tuple[Job, str, str | None]] = []
        for job in [job for job in self.state.inside("running") if job.worker == worker]:
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
                self.state.enter_queue(job, GIVEN_BACK_LANE)
        self._end_early(ends)
        return given_back, failed

    def _end_early(self, ends: Ends) -> None:
        self._end(ends)
        if ends:
            self.dispatcher.see_to_mail()

    # What waits.

    def pass_time(self, minutes: int) -> None:
        """Let time pass; nothing else happens by itself."""
        self.state.now += minutes
        self.state.lines.now += minutes

    def promote(self, count: int) -> int:
        """What is due enters its queue, or its lines; lines whose tokens have come move up."""
        due = [job for job in self.state.scheduled() if job.due[0] <= self.state.now][:count]
        arrivals = []
        for job in due:
            lacks_gate = self.state.gate(job.queue, job.wish.share) and not job.has_gate
            if lacks_gate or (job.place is None and self.state.asks(job)):
                job.wait("i" if job.place is None else "l")
                arrivals.append(job.id)
            else:
                self.state.enter_queue(job)
        names = [n for n, at in self.state.lines.retries().items() if at <= self.state.now]
        if names:
            self.state.send_releases((name, None) for name in names)
            self.dispatcher.see_to_mail()
        if arrivals:
            self.state.send_arrivals(arrivals)
            self.dispatcher.see_to_mail()
        return len(due)

    def cancel(self, numbers: Iterable[int]) -> None:
        """Send the letter."""
        self.state.mail.append(Letter("c", tuple(numbers)))

    def outcome(self, number: int, was_over: bool) -> str:
        """What a cancel says that has been dispatched."""
        job = self.state.jobs.get(number)
        if job is None:
            return "unknown"
        if job.table != "history":
            return "cancelling"
        return "ended" if was_over else "cancelled"

    def requeue(self, ids: Sequence[int], olds: Sequence[int]) -> None:
        """Ended jobs once more, as new ones under these ids."""
        jobs = [self.state.jobs[old] for old in olds]
        again = [
            Wish(
                queue=job.queue,
                priority=job.wish.priority,
                needs=job.own,
                terms=job.wish.terms,
                said_by=job.said_by,
                share=job.wish.share,
                args=job.args,
            )
            for job in jobs
        ]
        self.enqueue_graph(ids, again)
