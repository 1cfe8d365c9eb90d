"""Unique keys, as the model has them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.store.mail_jobs import Job, Wish
from tests.store.mail_state import State


class Keys:
    """Who holds which key, and until when if that is a window of time."""

    def __init__(self, state: State) -> None:
        self.holders: dict[str, tuple[int, int | None]] = {}
        self._state = state

    def take(self, given: list[int], wishes: Sequence[Wish], self_id: int | None) -> None:
        """Put -id where another job holds the key already."""
        asked = [(i, wish, wish.key) for i, wish in enumerate(wishes) if wish.key is not None]
        first, number = given[0], self._state.number()
        for i, wish, key in asked:
            holder = self.holders.get(key)
            if holder is None or self._is_free(holder, first, self_id):
                self.holders[key] = (given[i], self._end_of_window(wish))
            else:
                given[i] = -holder[0]
        for i, wish, _ in asked:
            if given[i] < 0 and -given[i] in self._state.jobs:
                self._change_waiting(self._state.jobs[-given[i]], wish, number)

    def _end_of_window(self, wish: Wish) -> int | None:
        if wish.until in ("started", "finished"):
            return None
        return self._state.now + int(wish.until) // 60

    def _is_free(self, holder: tuple[int, int | None], first: int, self_id: int | None) -> bool:
        job, ends = holder
        if job >= first:
            return False  # of the same call
        if ends is not None:
            return job == self_id or ends <= self._state.now
        return job == self_id or self._state.jobs[job].table == "history"

    def _change_waiting(self, job: Job, wish: Wish, number: int) -> None:
        if wish.on_conflict == "replace" and job.table in ("queued", "scheduled"):
            job.args = wish.args
        if wish.on_conflict == "earlier" and job.table == "scheduled":
            job.due = min(job.due, (self._state.now + wish.delay, number))

    def change_new(self, given: Sequence[int], wishes: Sequence[Wish], first: int) -> None:
        """Let those that lost a key to one of the same call change that."""
        for holder, wish in zip(given, wishes, strict=True):
            if -holder >= first:
                job = self._state.jobs[-holder]
                self._change_waiting(job, wish, self._state.number())
                if wish.on_conflict == "replace":
                    job.args = wish.args

    def drop(self, job: Job) -> None:
        """It lets go of its key, if it still holds that."""
        if job.key is not None and self.holders.get(job.key, (None,))[0] == job.id:
            del self.holders[job.key]
