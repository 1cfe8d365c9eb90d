"""One table: the fault, what is promised, what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.ledger import Verdict


@dataclass(frozen=True, slots=True)
class Line:
    """One promise and its figure."""

    fault: str
    promise: str
    measured: str
    is_kept: bool


@dataclass
class Report:
    """What a run has measured so far."""

    lines: list[Line] = field(default_factory=list)

    def add(self, fault: str, promise: str, measured: str, is_kept: bool) -> None:
        self.lines.append(Line(fault, promise, measured, is_kept))

    def add_verdict(self, fault: str, verdict: Verdict, rescues: int | None = None) -> None:
        """What the ledger says; `rescues` is how many there may be, if their number is promised."""
        is_kept = not verdict.faults and not verdict.unexplained
        promise = "nothing lost, doubled, stale or held"
        if rescues is not None:
            promise += f", {rescues} rescues of live jobs"
            is_kept = is_kept and verdict.rescued == rescues
        self.add(fault, promise, str(verdict), is_kept)

    def add_times(self, fault: str, promise: str, seconds: Sequence[float], most: float) -> None:
        """Times of which none may be longer than `most`."""
        if seconds:
            self.add(fault, promise, tell_times(seconds), max(seconds) <= most)

    @property
    def broken(self) -> list[Line]:
        return [line for line in self.lines if not line.is_kept]

    def __str__(self) -> str:
        rows = [f"| {line.fault} | {line.promise} | {_mark(line)} |" for line in self.lines]
        return "\n".join(["| fault | promise | measured |", "|---|---|---|", *rows])


def tell_times(seconds: Sequence[float]) -> str:
    """How many there were, the usual one and the longest."""
    middle, longest = statistics.median(seconds), max(seconds)
    return f"{len(seconds)} times: median {middle:.2f} s, longest {longest:.2f} s"


def _mark(line: Line) -> str:
    return line.measured if line.is_kept else f"**broken:** {line.measured}"
