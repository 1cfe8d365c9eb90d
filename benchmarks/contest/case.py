"""What a case is, and what it should reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.contest.bench import Bench
from benchmarks.contest.sizes import Sizes
from taskd.store.embedded import Server


class Against(StrEnum):
    """What a figure of taskd is compared with."""

    NOTHING = ""
    BEST = "the best peer"
    BEST_POSTGRES = "the best peer on PostgreSQL"
    LIMIT = "the limit"


@dataclass(frozen=True, slots=True)
class Reach:
    """So many times what it is compared with, at least or at most."""

    value: float
    against: Against = Against.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of a case."""

    key: str
    title: str
    unit: str
    more_is_better: bool
    reaches: tuple[Reach, ...] = ()


Values = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured together. `limit` measures what nobody can do better."""

    name: str
    measures: tuple[Measure, ...]
    run: Callable[[Bench], Values]
    limit: Callable[[Server, Path, Sizes], Values] | None = None
    limit_name: str = "limit"
    is_ours: bool = False
    """Only taskd is measured, against itself."""
