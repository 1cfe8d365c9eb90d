"""How attempts end, as the model has it: their jobs with them or not, and when workers die."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskd.store.host_rows import Judgement
from tests.store.mail_dispatcher import Dispatcher, Ends
from tests.store.mail_jobs import GIVEN_BACK_LANE, PAUSE, Job, is_gate
from tests.store.mail_state import State

Retry = tuple[int, str, int, bool]
"""A job, how its attempt ended, the delay, and whether it lets go of what it holds."""

Freed = list[tuple[str, int | None]]
"""What jobs let go of, as a letter tells it."""


class Attempts:
    """What becomes of running jobs."""

    def __init__(self, state: State, dispatcher: Dispatcher) -> None:
        self.state = state
        self.dispatcher = dispatcher

    def complete(
        self, ends: Sequence[tuple[int, str]], is_own: bool = True, tells_all: bool = False
    ) -> None:
        """End running jobs as s, f or c. tells_all: with a snapshot that may miss children."""
        self._end([(self.state.jobs[number], how, None) for number, how in ends], [], tells_all)
        if is_own:
            self.dispatcher.see_to_mail()

    def _end(self, ends: Ends, freed: Freed, tells_all: bool = False) -> None:
        """End jobs. freed: what others let go of meanwhile."""
        held = [entry for job, _, _ in ends for entry in self.state.let_go(job, job.needs)]
        self.state.send_releases(freed + held)
        self.dispatcher.end(ends, tells_all)

    # Attempts that the worker itself ends.

    def retry(self, retries: Sequence[Retry]) -> None:
        """End attempts, but not their jobs unless they are to be cancelled."""
        jobs = [self.state.jobs[number] for number, *_ in retries]
        over = [job for job in jobs if job.is_to_be_cancelled]
        again = [one for one in sorted(retries) if self.state.jobs[one[0]] not in over]
        freed: Freed = []
        is_told = bool(over)
        for one in again:
            job, held = self.state.jobs[one[0]], self.state.jobs[one[0]].place is not None
            freed += self._pause(job, *one[1:])
            is_told = is_told or (held and job.place is None)
        arrivals = [n for n, *_ in again if self.state.jobs[n].stage == "i"]
        self.state.send_arrivals(arrivals)
        self._end([(job, "c", "cancelled while it ran") for job in over], freed)
        if arrivals or freed or is_told:
            self.dispatcher.see_to_mail()

    def _pause(self, job: Job, outcome: str, delay: int, release: bool) -> Freed:
        """Where a job waits for its next attempt; what it lets go of until then."""
        self.state.note_attempt(job, outcome)
        job.expires = None
        if outcome in ("z", "i"):
            job.attempt -= 1
        if outcome != "i" and job.losses >= 2:  # its worker has outlived it
            job.losses = 0
        freed = self._let_go_to_pause(job, release, goes_on=outcome == "i")
        if delay > 0:
            freed += self._wait_for_time(job, delay)
        elif job.place is None and self.state.asks(job):
            job.wait("i")
        else:
            self.state.enter_queue(job, GIVEN_BACK_LANE if outcome == "i" else None)
        return freed

    def _let_go_to_pause(self, job: Job, release: bool, goes_on: bool = False) -> Freed:
        """Nobody keeps the limit of a queue alone, unless it goes on at once."""
        if not release and (goes_on or job.own):
            return []
        freed = self.state.let_go(job, job.needs)
        job.place = None
        return freed

    def _wait_for_time(self, job: Job, delay: int) -> Freed:
        """Without the limit of its queue: that is for those who could run."""
        freed = self.state.let_go(job, filter(is_gate, job.needs))
        job.needs = job.own
        job.table, job.due = "scheduled", (self.state.now + delay, self.state.number())
        return freed

    def give_back(self, numbers: Iterable[int]) -> int:
        """Return claimed jobs that never started; how many went back."""
        jobs = [self.state.jobs[number] for number in sorted(numbers)]
        over = [job for job in jobs if job.is_to_be_cancelled]
        for job in jobs:
            job.attempt -= 1
            if not job.is_to_be_cancelled:
                self.state.enter_queue(job, GIVEN_BACK_LANE)
        if over:
            self._end([(job, "c", "cancelled") for job in over], [])
            self.dispatcher.see_to_mail()
        return len(jobs) - len(over)

    # Attempts that end with their workers.

    def rescue(
        self, workers: Sequence[int], reason: str, charge: bool, judgement: Judgement
    ) -> tuple[int, int, float | None]:
        """End workers: how many jobs went back, how many failed, how long the culprit pauses."""
        for worker in workers:
            del self.state.lines.workers[worker]
        jobs = [job for job in self.state.inside("running") if job.worker in workers]
        ends: list[tuple[Job, str, str | None]] = []
        freed: Freed = []
        is_told, pause = False, None
        for job in jobs:
            job.expires = None
            is_guilty = job.id == judgement.culprit
            is_lost = charge and not is_guilty and _may_have_begun(job, judgement)
            job.losses += is_lost
            job.crashes += is_guilty and judgement.why != "cancel"
            if job.is_to_be_cancelled:
                ends.append((job, "c", f"cancelled while it ran; its worker is gone: {reason}"))
            elif (why := _why_it_fails(job, is_guilty, is_lost, reason, judgement)) is not None:
                ends.append((job, "f", why))
            elif is_guilty:
                pause = _seconds_of_pause(job, judgement.why)
                held, had_gate = job.place is not None, job.has_gate
                freed += self._come_later(job, judgement.why)
                is_told = held and (job.place is None or had_gate)
            else:
                self._come_back(job, "l" if is_lost else "g")
        if ends or is_told:
            self._end(ends, freed)
            self.dispatcher.see_to_mail()
        failed = sum(how == "f" for _, how, _ in ends)
        return len(jobs) - len(ends), failed, pause

    def _come_back(self, job: Job, outcome: str) -> None:
        """Before all others, and as if it had not run; with all that it holds."""
        self.state.note_attempt(job, outcome)
        job.attempt -= 1
        self.state.enter_queue(job, GIVEN_BACK_LANE)

    def _come_later(self, job: Job, why: str) -> Freed:
        """The culprit; an attempt that took too long has counted."""
        self.state.note_attempt(job, {"timeout": "h", "crash": "l"}.get(why, "k"))
        if why != "timeout":
            job.attempt -= 1
        freed = self._let_go_to_pause(job, job.wish.on_retry == "release")
        return freed + self._wait_for_time(job, PAUSE)


def _may_have_begun(job: Job, judgement: Judgement) -> bool:
    return judgement.begun is None or job.id in judgement.begun


def _why_it_fails(
    job: Job, is_guilty: bool, is_lost: bool, reason: str, judgement: Judgement
) -> str | None:
    """What is told of a job that does not run again; None: it does. The first that holds."""
    if is_guilty and judgement.why == "timeout" and job.attempt >= job.wish.max_attempts:
        return f"JobTimeout: {reason}; its worker was killed"
    if is_guilty and job.crashes >= judgement.max_crashes:
        did = (
            "it took its worker down" if judgement.why == "crash" else "its worker had to be killed"
        )
        return f"poisoned: {did} {job.crashes} times, the last time because: {reason}"
    if is_lost and job.losses >= judgement.max_losses:
        times = f"its worker was lost {job.losses} times"
        return f"poisoned: {times}, the last time because: {reason}"
    if job.wish.on_lost == "fail":
        return f'lost: its worker is gone ({reason}), and its task says on_lost="fail"'
    if judgement.interrupted and job.wish.on_interrupt == "fail":
        return f'interrupted: {reason}, and its task says on_interrupt="fail"'
    return None


def _seconds_of_pause(job: Job, why: str) -> float:
    """5, 10, 20, …; the cap of an hour is further than a job gets here."""
    times = job.attempt if why == "timeout" else job.crashes
    return 5.0 * 2.0 ** (times - 1)
