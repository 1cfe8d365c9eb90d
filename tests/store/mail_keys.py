"""Unique keys, as the model has them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.mail_jobs import WAITING, Call, Job, Wish
from tests.store.mail_state import State


class Keys:
    """Who holds which key, and until when if that is a window of time."""

    def __init__(self, state: State) -> None:
        self.holders: dict[str, tuple[int, int | None]] = {}
        self._state = state

    def take(
        self, given: list[int], wishes: Sequence[Wish], self_id: int | None
    ) -> list[tuple[int, Call]]:
        """Put -id where another job holds the key; whom of these a call is to change later."""
        numbers = list(given)
        late: dict[tuple[int, str, int], Call] = {}
        asked = [(i, wish, wish.key) for i, wish in enumerate(wishes) if wish.key is not None]
        for i, wish, key in asked:
            given[i] = self.holder(numbers[i], key, wish.until, numbers[0], self_id)
        for i, wish, _ in asked:
            if given[i] < 0 and (job := self._state.jobs.get(-given[i])) is not None:
                call = self._state.call(numbers[i], wish)
                if job.table != "blocked":
                    self.change(job, call)
                elif wish.on_conflict == "replace":
                    late.pop((job.id, "replace", 0), None)  # of one call the last counts
                    late[job.id, "replace", 0] = call
                elif wish.on_conflict == "earlier" and call.due < job.due:
                    late[job.id, "earlier", call.number] = call
        return [(job, call) for (job, _, _), call in late.items()]

    def holder(
        self, number: int, key: str, until: str, first: int | None, self_id: int | None = None
    ) -> int:
        """Take a key for this job; -id if another job has it. first: the first job of the call."""
        held = self.holders.get(key)
        if held is None or self._is_free(held, first, self_id):
            self.holders[key] = (number, self._end_of_window(until))
            return number
        return -held[0]

    def _end_of_window(self, until: str) -> int | None:
        if until in ("started", "finished"):
            return None
        return self._state.now + int(until) // 60

    def _is_free(
        self, holder: tuple[int, int | None], first: int | None, self_id: int | None
    ) -> bool:
        job, ends = holder
        if first is not None and job >= first:
            return False  # of the same call
        if ends is not None:
            return job == self_id or ends <= self._state.now
        return job == self_id or self._state.jobs[job].table == "history"

    @staticmethod
    def change(job: Job, call: Call) -> None:
        """Let a job that waits be as a call wants it that came after its own."""
        wish = call.wish
        is_newer = call.number > job.called
        if wish.on_conflict == "replace" and job.table in WAITING and is_newer:
            job.args, job.called = wish.args, call.number
        if wish.on_conflict == "earlier" and job.table in ("blocked", "scheduled"):
            job.due = min(job.due, call.due)

    def change_new(
        self, numbers: Sequence[int], given: Sequence[int], wishes: Sequence[Wish]
    ) -> None:
        """Let those that lost a key to one of the same call change that."""
        for number, holder, wish in zip(numbers, given, wishes, strict=True):
            if -holder >= numbers[0]:
                self.change(self._state.jobs[-holder], self._state.call(number, wish))

    def drop(self, job: Job) -> None:
        """It lets go of its key, if it still holds that."""
        if job.key is not None and self.holders.get(job.key, (None,))[0] == job.id:
            del self.holders[job.key]
