"""Limits that operators declare, and jobs that go to another queue, as the model has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskd.board import priority_of
from tests.store.mail_dispatcher import Dispatcher
from tests.store.mail_jobs import Job, Letter, Terms, is_gate
from tests.store.mail_lines import Capacity
from tests.store.mail_state import State


class Limits:
    """What operators and the files of hosts say; an operator is right."""

    def __init__(self, state: State, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._operator: dict[str, Terms] = {}
        self._file: dict[str, Terms] = {}

    def set_capacity(self, name: str, units: int | None) -> None:
        """An operator says how much there is; None: as much as code and files say."""
        self._operator.pop(name, None)
        if units is not None:
            self._operator[name] = Terms(units)
        self._settle(name)
        self._look_again([name])

    def declare(self, name: str, terms: Terms | None) -> None:
        """The file of a host says something else of a limit than before, or nothing any more."""
        self._file.pop(name, None)
        if terms is not None:
            self._file[name] = terms
        if self._settle(name):
            self._look_again([name])

    def _look_again(self, names: Iterable[str]) -> None:
        self._state.mail.append(Letter("r", entries=tuple((name, None) for name in names)))
        self._dispatcher.see_to_mail()

    def _settle(self, name: str) -> bool:
        """Let a limit be as is wanted; whether it was not."""
        capacity = self._state.lines.capacity
        declared = capacity[name].terms if name in capacity and capacity[name].is_declared else None
        wanted = self._operator.get(name, self._file.get(name))
        if wanted == declared:
            return False
        if wanted is not None:
            capacity[name] = Capacity(wanted, True)
        elif (left := self._last_word(name)) is not None:
            capacity[name] = left
        else:
            del capacity[name]
        if is_gate(name) and wanted is not None:
            self._adopt(name)
        return True

    def _last_word(self, name: str) -> Capacity | None:
        """What the youngest of those in line says of a limit, of those that say anything."""
        waiting = [self._state.jobs[e.job] for e in self._state.lines.waiting(name).values()]
        for job in sorted(waiting, key=lambda job: (job.said_by, job.id), reverse=True):
            terms = job.wish.terms.get(name)
            if terms is not None:
                return Capacity(terms, False, job.said_by)
        return None

    def _adopt(self, gate: str) -> None:
        """Those that wait to be claimed join its line, others will, and those that run count."""
        queue = gate.split(" ")[1]
        ungated = [j for j in self._state.jobs.values() if j.queue == queue and not j.has_gate]
        waiting = [job for job in ungated if job.table == "queued"]
        for job in waiting:
            job.wait("i" if job.place is None else "l")
        for job in ungated:
            if job.table == "running":
                self._count(job, gate)
            elif job.stage == "l" and job.needs:
                job.needs = {**job.needs, gate: 1}
        self._send_in_order_of_claims(waiting)

    def _count(self, job: Job, gate: str) -> None:
        """One that runs holds a unit, before all that wait, whether it fits or not."""
        number = self._state.number()
        job.place = number if job.place is None else job.place
        job.needs, job.entries[gate] = {**job.needs, gate: 1}, -number
        self._state.lines.count(gate, -number, job.id)

    def _send_in_order_of_claims(self, jobs: Sequence[Job]) -> None:
        self._state.send_arrivals(
            [j.id for j in sorted(jobs, key=lambda j: (-priority_of(j.lane), j.seq))]
        )

    # Moves.

    def move(self, numbers: Iterable[int], queue: str) -> int:
        """What waits waits in another queue instead, behind those that are there; how many."""
        known = (self._state.jobs[n] for n in set(numbers) if n in self._state.jobs)
        jobs = [job for job in known if job.queue != queue]
        blocked = [job for job in jobs if job.table == "blocked"]
        queued = [job for job in jobs if job.table == "queued"]
        limited = [j for j in queued if j.has_gate or self._state.gate(queue, j.wish.share)]
        scheduled = [job for job in jobs if job.table == "scheduled"]
        self._move_blocked(blocked, queue)
        self._move_limited(limited, queue)
        for job in scheduled:
            job.queue = queue
        for job in sorted(queued, key=lambda job: (job.lane, job.seq)):
            if job not in limited:
                job.queue = queue
                self._state.enter_queue(job, job.lane)
        return len(blocked) + len(queued) + len(scheduled)

    def _move_blocked(self, jobs: Sequence[Job], queue: str) -> None:
        """Who stands in the line of the old queue's limit goes to that of the new one."""
        gates, further = set(), []
        for job in sorted(jobs, key=lambda job: job.place or 0):
            job.queue, job.needs, job.level = queue, job.own, min(job.level, 2)
            for gate, place in self._state.let_go(job, filter(is_gate, job.entries)):
                assert place is not None
                self._state.lines.leave(gate, place)
                gates.add(gate)
                further.append(job.id)
            gate = self._state.gate(queue, job.wish.share)
            if job.stage == "l" and gate is not None:
                job.needs = {**job.needs, gate: 1}
        self._state.send_arrivals(further)
        if gates:
            self._look_again(gates)

    def _move_limited(self, jobs: Sequence[Job], queue: str) -> None:
        """Those that have passed a limit of a queue, or have to pass one now."""
        freed = []
        for job in jobs:
            freed += self._state.let_go(job, filter(is_gate, job.entries))
            job.queue, job.needs = queue, job.own
            job.place = job.place if job.needs else None
            job.wait("l" if job.needs else "i")
        self._state.send_releases(freed)
        self._send_in_order_of_claims(jobs)
        if jobs:
            self._dispatcher.see_to_mail()
