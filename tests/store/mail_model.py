"""What jobs, resources, limits and dependencies should do, told with lists and loops.

mail_machine.py makes each call here and in PostgreSQL, and compares. Time is in minutes and passes
only when told to. Nothing here is clever on purpose: where the SQL reads a few rows of an index,
this looks at everything.

    mail_jobs        the values                mail_keys        unique keys
    mail_lines       resources, lines, rates   mail_dispatcher  what letters do
    mail_state       where everything is       mail_limits      what operators say; moves
    mail_attempts    how attempts end
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tests.store.mail_attempts import Attempts
from tests.store.mail_dispatcher import Dispatcher
from tests.store.mail_jobs import QUARANTINE_LANE, Call, Job, Letter, Wish
from tests.store.mail_keys import Keys
from tests.store.mail_limits import Limits
from tests.store.mail_state import State


class Model:
    """All of it: each public method is a call of the store."""

    def __init__(self) -> None:
        self.state = State()
        self.keys = Keys(self.state)
        self.dispatcher = Dispatcher(self.state, self.keys)
        self.attempts = Attempts(self.state, self.dispatcher)
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
        calls = self.keys.take(given, wishes, self_id)
        late = [
            number
            for number, wish in zip(given, wishes, strict=True)
            if number > 0 and self._add(number, wish, given)
        ]
        self.keys.change_new(ids, given, wishes)
        arrivals = [n for n in given if n > 0 and self.state.jobs[n].stage == "i"]
        self.state.send_calls([(holder, self._whole(call, given)) for holder, call in calls])
        self.state.send_arrivals(arrivals)
        if late:
            self.state.mail.append(Letter("k", tuple(late)))
        if (arrivals or late or calls) and not is_foreign:
            self.dispatcher.see_to_mail()
        return given

    def enqueue_jobs(
        self, ids: Sequence[int], wishes: Sequence[Wish], self_id: int | None = None
    ) -> list[int]:
        """The same for jobs of one task, which wait for nothing but their queue, and are alike."""
        known = len(self.state.mail)
        given = self.enqueue_graph(ids, wishes, self_id, is_foreign=True)
        wish = wishes[0]
        is_gated = not wish.delay and self.state.gate(wish.queue, wish.share)
        if is_gated or any(letter.kind == "u" for letter in self.state.mail[known:]):
            self.dispatcher.see_to_mail()
        return given

    @staticmethod
    def _whole(call: Call, given: Sequence[int]) -> Call:
        """The same with ids for its parents."""
        named = (abs(given[-p - 1]) if p < 0 else p for p in call.wish.parents)
        return replace(call, wish=replace(call.wish, parents=tuple(named)))

    def _add(self, number: int, wish: Wish, given: Sequence[int]) -> bool:
        """A new job; whether it comes after one of another call, which may have ended already."""
        job = self.state.add(self.state.call(number, wish))
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

    # Workers and claims.

    def register_worker(self, worker: int, queues: tuple[str, ...]) -> None:
        """One that runs a job at once has come; where there is no limit, more are let in now."""
        self.state.lines.workers[worker] = queues
        gates = self.state.lines.gates_without_units(queues)
        self.state.send_releases((gate, None) for gate in gates)
        if gates:
            self.dispatcher.see_to_mail()

    def claim(
        self, lanes: Iterable[tuple[str, int]], count: int, worker: int, fences: Iterable[int]
    ) -> None:
        """What is claimable is claimed; each job gets the next of these fences."""
        for job, fence in zip(self.claimable(lanes, count), fences, strict=True):
            job.table, job.fence, job.worker = "running", fence, worker
            job.attempt += 1
            if job.wish.until == "started":
                self.keys.drop(job)

    def claimable(self, lanes: Iterable[tuple[str, int]], count: int) -> list[Job]:
        """What waits in these lanes; of suspects one, and only if nothing is before it."""
        found: list[Job] = []
        for queue, lane in lanes:
            waiting = self.state.lane(queue, lane)
            if lane != QUARANTINE_LANE:
                found += waiting
            elif waiting and not found:
                return waiting[:1]
        return found[:count]

    def late(self, jobs: Iterable[Job]) -> list[int]:
        """Those that have not begun in time, so that their worker only ends them."""
        return [j.id for j in jobs if j.expires is not None and j.expires <= self.state.now]

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
                max_attempts=job.wish.max_attempts,
                on_lost=job.wish.on_lost,
                on_interrupt=job.wish.on_interrupt,
                on_retry=job.wish.on_retry,
            )
            for job in jobs
        ]
        self.enqueue_graph(ids, again)
        for job, number in zip(jobs, ids, strict=True):
            job.requeued_as = number

    def purge(self, states: str, queue: str | None) -> int:
        """Forget what has ended in these states, in one queue or in any; how many jobs."""
        over = [job for job in self.state.inside("history") if job.state in states]
        purged = [job for job in over if queue in (None, job.queue)]
        for job in purged:
            self.state.forget(job)
        return len(purged)
