"""The dispatcher of the model: works off letters, and lets lines move up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.store.mail_jobs import WAITING, Call, Job, Letter, level
from tests.store.mail_keys import Keys
from tests.store.mail_lines import Capacity, Request
from tests.store.mail_state import State

Ends = Sequence[tuple[Job, str, str | None]]


class Dispatcher:
    """Whoever has sent letters lets it see to them."""

    def __init__(self, state: State, keys: Keys) -> None:
        self._state = state
        self._keys = keys
        self._recheck: list[int] = []

    def see_to_mail(self) -> None:
        """Work off what there is, unless somebody else does."""
        if not self._state.is_busy:
            self.dispatch()

    def dispatch(self, letters: int = 100, rounds: int = 10, arrivals: int = 500) -> int:
        """Work off letters; how many."""
        total, room = 0, arrivals
        self._recheck = []
        for _ in range(rounds):
            taken = self._take_letters(letters, room)
            room -= sum(len(letter.jobs) for letter in taken if letter.kind == "a")
            total += len(taken)
            if taken:
                self._work_off(taken)
            if not taken or not self._state.mail:
                break
        if self._recheck:
            self._state.mail.append(Letter("k", tuple(self._recheck)))
            return -2
        return total

    def _take_letters(self, letters: int, room: int) -> list[Letter]:
        mail = self._state.mail
        taken = [letter for letter in mail if letter.kind != "a"][:letters]
        admitted = 0
        for letter in [letter for letter in mail if letter.kind == "a"][:letters]:
            if admitted >= room:
                break
            taken.append(letter)
            admitted += len(letter.jobs)
        self._state.mail = [letter for letter in mail if not any(letter is t for t in taken)]
        return taken

    def _work_off(self, letters: Sequence[Letter]) -> None:
        def jobs_in(kind: str) -> list[int]:
            return [job for letter in letters if letter.kind == kind for job in letter.jobs]

        called = self._change_jobs(
            [pair for letter in letters for pair in zip(letter.jobs, letter.calls, strict=False)]
        )
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
                self._state.lines.leave(name, place)
        self._move_lines_up(touched)
        self._join_lines([*jobs_in("a"), *called, *arrivals])

    # Calls that come late.

    def _change_jobs(self, calls: Sequence[tuple[int, Call]]) -> list[int]:
        """Let the holders of keys be as calls want them; jobs that calls became, to join lines."""
        late, arrivals = [], []
        for holder, call in sorted(calls, key=lambda one: one[1].number):
            job = self._state.jobs.get(holder)
            if job is not None and job.table in WAITING:
                self._keys.change(job, call)
            elif call.wish.on_conflict == "replace" and call.wish.until in ("started", "finished"):
                late.append((holder, call))
        for holder, call in reversed(late):
            arrivals += self._call_again(holder, call)
        return arrivals

    def _call_again(self, before: int, call: Call) -> list[int]:
        """A job of its own, if nobody has the key by now."""
        wish = call.wish
        assert wish.key is not None
        holder = -self._keys.holder(call.number, wish.key, wish.until, None)
        if holder == -call.number:
            job = self._state.add(call)
            self._state.parents |= {(parent, job.id) for parent in wish.parents}
            if wish.parents:
                job.wait("p")
                self._recheck.append(job.id)
            elif self._state.asks(job) and job.due[0] <= self._state.now:
                job.wait("i")
                return [job.id]
            else:
                self._state.start(job)
        elif holder != before and holder < call.number:
            other = self._state.jobs.get(holder)
            if other is not None and other.table != "history":
                self._state.send_calls([(holder, call)])
        return []

    # The ends of parents, and cancels.

    def _look_for_ended_parents(self, children: Sequence[int]) -> dict[int, bool]:
        jobs = self._state.jobs
        parents = {parent for parent, child in self._state.parents if child in children}
        gone = {parent: False for parent in parents if parent not in jobs}
        over = (jobs[parent] for parent in parents - gone.keys() if jobs[parent].table == "history")
        return gone | {job.id: job.state == "s" for job in over}

    def _tell_children(self, ended: dict[int, bool]) -> tuple[set[int], list[int]]:
        well: dict[int, bool] = {}
        for parent, child in sorted(self._state.parents):
            if parent in ended:
                self._state.parents.discard((parent, child))
                well[child] = well.get(child, True) and ended[parent]
        doomed, arrivals = set(), []
        for child in sorted(well):
            job = self._state.jobs[child]
            if not well[child] and not job.wish.run_if_failed:
                doomed.add(child)
            elif self._state.pending(job) == 0:
                if self._state.asks(job) and job.due[0] <= self._state.now:
                    arrivals.append(child)
                else:
                    self._state.start(job)
        return doomed, arrivals

    def _cancel_waiting(self, cancels: Iterable[int], doomed: set[int]) -> set[str]:
        touched, gone = set(), []
        for number in sorted({*cancels, *doomed} & self._state.jobs.keys()):
            job = self._state.jobs[number]
            if job.table == "running":
                job.is_to_be_cancelled = True
            if job.table not in ("queued", "scheduled", "blocked"):
                continue
            gone.append(job)
            self._state.parents -= {pair for pair in self._state.parents if pair[1] == number}
            for name, place in job.entries.items():
                self._state.lines.leave(name, place)
                touched.add(name)
            job.entries = {}
        why = "a job that it came after did not succeed"
        self.end([(job, "c", why if job.id in doomed else "cancelled") for job in gone])
        return touched

    def end(self, ends: Ends, tells_all: bool = False) -> None:
        """Jobs have ended, and hold nothing. tells_all: with a snapshot that may miss children."""
        state = self._state
        for job, how, error in ends:
            self._keys.drop(job)
            job.table, job.state, job.error = "history", how, error
        told = [
            (job.id, how == "s")
            for job, how, _ in ends
            if tells_all or any(parent == job.id for parent, _ in state.parents)
        ]
        if told:
            ids, well = zip(*told, strict=True)
            state.mail.append(Letter("f", ids, well))

    # Lines.

    def _move_lines_up(self, names: Iterable[str]) -> None:
        granted = self._state.lines.move_up(names)
        self._go_on([self._state.jobs[number] for number in granted])

    def _go_on(self, jobs: Iterable[Job]) -> None:
        """Those that wait for nothing more in their lines start, or join those of a later level."""
        found = [job for job in jobs if self._state.pending(job) == 0]
        ready = sorted(found, key=lambda job: (job.place is None, job.place, job.id))
        for job in ready:
            if not job.goes_on:
                self._state.start(job)
        further = [job.id for job in ready if job.table == "blocked"]
        if further:
            self._join_lines(further)

    def _join_lines(self, numbers: Iterable[int]) -> None:
        known = [self._state.jobs[n] for n in numbers if n in self._state.jobs]
        jobs = [job for job in known if job.table == "blocked"]
        changed = self._take_terms(jobs)
        self._state.lines.join([request for job in jobs for request in self._requests(job)])
        self._go_on(jobs)
        self._move_lines_up(changed)

    def _requests(self, job: Job) -> list[Request]:
        """What a job asks for in its next step, once it has that of its queue in its list."""
        gate = self._state.gate(job.queue, job.wish.share)
        if job.stage != "l":
            job.needs, job.level = job.own, -1
        if gate is not None and not job.has_gate:
            job.needs = {**job.needs, gate: 1}
        later = [name for name in job.needs if level(name) > job.level]
        if not later:
            return []
        job.stage, job.level, job.place = "l", min(map(level, later)), self._state.number()
        share = (job.wish.share or "") if job.level >= 2 else None
        asked = {name: job.needs[name] for name in later if level(name) == job.level}
        job.entries |= dict.fromkeys(asked, job.place)
        return [Request(name, job.place, job.id, need, share) for name, need in asked.items()]

    def _take_terms(self, jobs: Sequence[Job]) -> list[str]:
        """The word of the job enqueued last counts, but none against an operator's."""
        said: dict[str, Job] = {}
        for job in sorted(jobs, key=lambda job: (job.said_by, job.id)):
            said |= dict.fromkeys(job.wish.terms, job)
        changed = []
        for name, job in said.items():
            capacity, terms = self._state.lines.capacity.get(name), job.wish.terms[name]
            if capacity is None or not (
                capacity.is_declared or capacity.said_by > job.said_by or capacity.terms == terms
            ):
                self._state.lines.capacity[name] = Capacity(terms, False, job.said_by)
                changed.append(name)
        return changed
