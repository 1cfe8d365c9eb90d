"""The table: medians, spread, ratios to the best peer and to the limit; and the same as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.contest.case import Against, Case, Measure
from benchmarks.contest.run import Plan, Sample
from benchmarks.peers.peer import Store, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of one system."""

    case: str
    measure: str
    unit: str
    system: str
    store: str
    median: float | None
    lowest: float | None
    highest: float | None
    to_best: float | None
    to_best_postgres: float | None
    to_limit: float | None
    reach: str
    failures: tuple[str, ...]


def rows(plan: Plan, samples: Sequence[Sample]) -> list[Row]:
    """Of each measure: taskd, its peers from the best on, and the limit."""
    found = []
    for case in plan.cases:
        mine = [one for one in samples if one.case == case.name]
        for measure in case.measures:
            found += _Field(plan, case, measure, mine).rows()
    return found


def as_json(plan: Plan, samples: Sequence[Sample]) -> dict[str, object]:
    """All that was measured."""
    return {
        "runs": plan.runs,
        "sizes": asdict(plan.sizes),
        "history": "kept" if plan.keeps_history else "dropped",
        "samples": [asdict(one) for one in samples],
        "rows": [asdict(one) for one in rows(plan, samples)],
    }


HEADINGS = ("median", "lowest", "highest", "÷ best", "÷ best PG", "÷ limit")


def table(found: Sequence[Row]) -> str:
    """A block a measure."""
    lines = [f"{'':<24} {'':<17}" + "".join(f" {heading:>10}" for heading in HEADINGS)]
    title = ""
    for row in found:
        if title != (title := f"{row.measure}{f', {row.unit}' if row.unit else ''}"):
            lines += ["", title]
        lines.append(_line(row))
    return "\n".join(lines)


def _line(row: Row) -> str:
    start = f"  {row.system:<22} {row.store:<17}"
    if row.median is None:
        return f"{start} {row.failures[0] if row.failures else 'has no such figure'}"
    figures = (row.median, row.lowest, row.highest, row.to_best, row.to_best_postgres, row.to_limit)
    end = f"  failed {len(row.failures)} times: {row.failures[0]}" if row.failures else ""
    return start + "".join(f" {_figure(one):>10}" for one in figures) + f"  {row.reach}{end}"


def _figure(value: float | None) -> str:
    """Three digits, or all before the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(slots=True)
class _Field:
    """All systems in one measure."""

    plan: Plan
    case: Case
    measure: Measure
    samples: Sequence[Sample]

    def rows(self) -> list[Row]:
        peers = [one for one in self.plan.systems if not one.is_ours and not self.case.is_ours]
        ours = [one for one in self.plan.systems if one.is_ours]
        found = [self._row(one.name, one.store, one.is_ours) for one in [*ours, *peers]]
        found = found[: len(ours)] + sorted(found[len(ours) :], key=self._place)
        if self.case.limit is not None and self.median(self.case.limit_name) is not None:
            found.append(self._row(self.case.limit_name, "", False))
        return found

    def median(self, system: str) -> float | None:
        values = self._values(system)
        return statistics.median(values) if values else None

    def best(self, *, on_postgres: bool) -> float | None:
        """The best median of a peer that is as durable as taskd."""
        durable = (Store.POSTGRES,) if on_postgres else (Store.POSTGRES, Store.REDIS_ALWAYS)
        names = [one.name for one in self.plan.systems if not one.is_ours and one.store in durable]
        medians = [median for name in names if (median := self.median(name)) is not None]
        if not medians:
            return None
        return max(medians) if self.measure.more_is_better else min(medians)

    def _row(self, system: str, store: str, is_ours: bool) -> Row:
        values = self._values(system)
        median = self.median(system)
        return Row(
            case=self.case.name,
            measure=self.measure.title,
            unit=self.measure.unit,
            system=system,
            store=store,
            median=median,
            lowest=min(values, default=None),
            highest=max(values, default=None),
            to_best=self._ratio(median, Against.BEST),
            to_best_postgres=self._ratio(median, Against.BEST_POSTGRES),
            to_limit=self._ratio(median, Against.LIMIT),
            reach=self._reach(median) if is_ours else "",
            failures=tuple(
                one.failure for one in self.samples if one.system == system and one.failure
            ),
        )

    def _values(self, system: str) -> list[float]:
        return [
            one.values[self.measure.key]
            for one in self.samples
            if one.system == system and self.measure.key in one.values
        ]

    def _ratio(self, median: float | None, against: Against) -> float | None:
        other = self._other(against)
        return None if median is None or not other else median / other

    def _other(self, against: Against) -> float | None:
        match against:
            case Against.NOTHING:
                return 1.0
            case Against.BEST:
                return self.best(on_postgres=False)
            case Against.BEST_POSTGRES:
                return self.best(on_postgres=True)
            case Against.LIMIT:
                return self.median(self.case.limit_name)

    def _reach(self, median: float | None) -> str:
        """What it should reach, and whether it does."""
        sign = "≥" if self.measure.more_is_better else "≤"
        parts = []
        for reach in self.measure.reaches:
            ratio = self._ratio(median, reach.against)
            verdict = "?" if ratio is None else self._verdict(ratio, reach.value)
            of = f" of {reach.against}" if reach.against else ""
            parts.append(f"{sign} {reach.value:g}{of}: {verdict}")
        return "; ".join(parts)

    def _verdict(self, ratio: float, value: float) -> str:
        is_reached = ratio >= value if self.measure.more_is_better else ratio <= value
        return "reached" if is_reached else "not reached"

    def _place(self, row: Row) -> float:
        """The best first, who has no figure last."""
        if row.median is None:
            return float("inf")
        return -row.median if self.measure.more_is_better else row.median


def systems_named(names: Sequence[str], known: Sequence[System]) -> list[System]:
    """Those of this name, or of a peer of this name; raises KeyError with the first unknown one."""
    found = []
    for name in names:
        named = [one for one in known if name in (one.name, one.peer.folder)]
        if not named:
            raise KeyError(name)
        exact = [one for one in named if one.name == name]
        found += exact or named
    return found
