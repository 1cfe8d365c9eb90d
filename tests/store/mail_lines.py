"""Resources, limits and the lines before them, as the model has them: all entries in a dict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.store.mail_jobs import EVERYTHING, Terms, is_gate


@dataclass(slots=True)
class Entry:
    """What a job holds of one resource, or wants."""

    job: int
    need: int
    share: str | None = None
    turn: int = 0
    is_granted: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A job that joins the line of a resource, at this place."""

    name: str
    place: int
    job: int
    need: int
    share: str | None


@dataclass(slots=True)
class Line:
    """Who holds or wants a resource, by place; when its bucket was empty, and gets a token."""

    entries: dict[int, Entry] = field(default_factory=dict)
    empty_at: int | None = None
    retry_at: int | None = None


@dataclass(slots=True)
class Capacity:
    """How much there is of a resource; so says an operator, or the code of the job said_by."""

    terms: Terms
    is_declared: bool
    said_by: int = 0


class Lines:
    """All of them. workers: the queues that each living one takes, () for all."""

    def __init__(self) -> None:
        self.now = 0
        self.workers: dict[int, tuple[str, ...]] = {}
        self.capacity: dict[str, Capacity] = {}
        self._lines: dict[str, Line] = {}

    # What there is.

    def names(self) -> list[str]:
        """All resources that were ever asked for."""
        return sorted(self._lines)

    def _line(self, name: str) -> Line:
        return self._lines.setdefault(name, Line())

    def holders(self, name: str) -> dict[int, Entry]:
        """Who holds a resource, by place."""
        return {p: e for p, e in sorted(self._line(name).entries.items()) if e.is_granted}

    def waiting(self, name: str) -> dict[int, Entry]:
        """Who wants it, by place, in the order of their turns."""
        found = [(p, e) for p, e in self._line(name).entries.items() if not e.is_granted]
        return dict(sorted(found, key=lambda one: (one[1].turn, one[0])))

    def is_granted(self, name: str, place: int) -> bool:
        """Whether the one at this place holds it."""
        return self._line(name).entries[place].is_granted

    def used(self, name: str) -> int:
        """The units of a resource that are held."""
        return sum(entry.need for entry in self.holders(name).values())

    def fits(self, name: str, need: int) -> bool:
        """The one rule for shared, counted and exclusive holders, and for rates."""
        units, used = self._units(name), self.used(name)
        return units > 0 and (used == 0 or used + need <= units) and self._tokens(name) > 0

    def retries(self) -> dict[str, int]:
        """When the heads of lines get the tokens that they wait for."""
        found = {name: line.retry_at for name, line in self._lines.items()}
        return {name: at for name, at in sorted(found.items()) if at is not None}

    def _terms(self, name: str) -> Terms:
        return self.capacity[name].terms if name in self.capacity else Terms()

    def _units(self, name: str) -> int:
        units = self._terms(name).units
        if units is None:
            units = self._window(name.split(" ")[1]) if is_gate(name) else EVERYTHING
        return units

    def _window(self, queue: str) -> int:
        """Twice as many as its workers run at once, which is one each."""
        takes = [queues for queues in self.workers.values() if not queues or queue in queues]
        return max(2, 2 * len(takes))

    def gates_without_units(self, queues: tuple[str, ...]) -> list[str]:
        """Those of these queues, or of all, before which somebody waits."""
        gates = [name for name in self.names() if is_gate(name) and self.waiting(name)]
        taken = [name for name in gates if not queues or name.split(" ")[1] in queues]
        return [name for name in taken if self._terms(name).units is None]

    # Tokens.

    def _tokens(self, name: str) -> int:
        minutes = self._terms(name).minutes
        return EVERYTHING if minutes is None else (self.now - self._empty_since(name)) // minutes

    def _empty_since(self, name: str) -> int:
        """As long ago as it takes to fill the bucket, if not later."""
        terms, empty_at = self._terms(name), self._line(name).empty_at
        full = self.now - (terms.minutes or 0) * (terms.burst or 1)
        return full if empty_at is None else max(empty_at, full)

    def _note_next_token(self, name: str) -> None:
        """The head waits for it, if there is one and no token."""
        line, minutes = self._line(name), self._terms(name).minutes
        waits = minutes is not None and self.waiting(name) and self._tokens(name) < 1
        line.retry_at = self._empty_since(name) + (minutes or 0) if waits else None

    # Who comes, goes, and moves up.

    def join(self, requests: Sequence[Request]) -> None:
        """Let all of these join; their turns are reckoned from the lines as they find them."""
        turns = {(r.name, r.share): self._next_turn(r.name, r.share) for r in requests}
        quiet = {r.name for r in requests if not self.waiting(r.name)}
        for r in requests:
            entry = Entry(r.job, r.need, r.share)
            if not self.waiting(r.name) and self.fits(r.name, r.need):
                self._grant(r.name, entry)
            elif r.share is not None:
                entry.turn = turns[r.name, r.share]
                turns[r.name, r.share] += 1
            self._line(r.name).entries[r.place] = entry
        for name in quiet:
            self._note_next_token(name)

    def _next_turn(self, name: str, share: str | None) -> int:
        """Behind the last of its share, and behind the head."""
        line = list(self.waiting(name).values())
        before = line[:1] + [entry for entry in line if entry.share == share]
        return max((entry.turn + 1 for entry in before), default=0)

    def _grant(self, name: str, entry: Entry) -> None:
        entry.is_granted = True
        minutes = self._terms(name).minutes
        if minutes is not None:
            self._line(name).empty_at = self._empty_since(name) + minutes

    def count(self, name: str, place: int, job: int) -> None:
        """One holds a unit of it, whether that fits or not."""
        self._line(name).entries[place] = Entry(job, 1, is_granted=True)

    def leave(self, name: str, place: int) -> None:
        """One holds it no more, or wants it no more."""
        del self._line(name).entries[place]

    def move_up(self, names: Iterable[str]) -> set[int]:
        """Grant the heads of these lines what fits; the jobs that were granted something."""
        granted = set()
        for name in names:
            for entry in self.waiting(name).values():
                if not self.fits(name, entry.need):
                    break
                self._grant(name, entry)
                granted.add(entry.job)
            self._note_next_token(name)
        return granted
