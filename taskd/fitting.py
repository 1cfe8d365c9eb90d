"""Least squares whose coefficients are not negative, and how sure each of them is.

    y = level of its series + c1·x1 + c2·x2 + …        c ≥ 0

Rows are summed up as they come, so a fit costs no more for many rows than for few. A series is a
run of rows with a level of its own that nobody asks for. The active set is Lawson and Hanson's
(Solving Least Squares Problems, 1974, chapter 23), on the normal equations. How sure a coefficient
is follows from fits without one group of rows each (the jackknife: Tukey 1958), because rows that
follow each other err together: the usual formula would take them for so many witnesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, sqrt

GROUPS = 20
"""How many groups to make of the rows, if there are enough."""

SURE = 2.1
"""Standard deviations to each side of a value that is within them 95 times of 100 (Student's, for
19 degrees of freedom)."""

_TINY = 1e-10


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient and its standard error."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """It is no less than this with 97.5 %."""
        return max(self.value - SURE * self.error, 0.0)

    @property
    def high(self) -> float:
        """It is no more than this with 97.5 %."""
        return self.value + SURE * self.error


class Moments:
    """Sums over rows; the last number of a row is its y."""

    __slots__ = ("count", "products", "sums")

    def __init__(self, size: int) -> None:
        self.count = 0
        self.sums = [0.0] * size
        self.products = [[0.0] * (i + 1) for i in range(size)]

    def take(self, row: Sequence[float], weight: int = 1) -> None:
        """Add a row that is the mean of so many."""
        self.count += weight
        for i, value in enumerate(row):
            if value:
                weighted = value * weight
                self.sums[i] += weighted
                products = self.products[i]
                for j in range(i + 1):
                    products[j] += weighted * row[j]

    def add(self, other: Moments) -> None:
        """Add all rows of another."""
        self.count += other.count
        for i, total in enumerate(other.sums):
            self.sums[i] += total
            for j, product in enumerate(other.products[i]):
                self.products[i][j] += product

    def centred(self) -> list[list[float]]:
        """The products of what the rows differ by from their mean."""
        if not self.count:
            return self.products
        means = [total / self.count for total in self.sums]
        return [
            [product - self.sums[i] * means[j] for j, product in enumerate(products)]
            for i, products in enumerate(self.products)
        ]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one series that are left out together, as `group`."""

    series: int
    group: int
    moments: Moments


def fit(pieces: Sequence[Piece], has_levels: bool = True) -> list[Estimate]:
    """The coefficients, one a column; at least one piece. `has_levels`: each series has its own."""
    values = _values(pieces, has_levels)
    groups = sorted({piece.group for piece in pieces})
    if len(groups) < 2:
        return [Estimate(value, inf) for value in values]
    others = [
        _values([piece for piece in pieces if piece.group != group], has_levels) for group in groups
    ]
    return [_estimate(value, [other[i] for other in others]) for i, value in enumerate(values)]


def _estimate(value: float, others: Sequence[float]) -> Estimate:
    n = len(others)
    mean = sum(others) / n
    error = sqrt((n - 1) / n * sum((other - mean) ** 2 for other in others))
    return Estimate(value, error)


def _values(pieces: Iterable[Piece], has_levels: bool) -> list[float]:
    series: dict[int, Moments] = {}
    for piece in pieces:
        found = series.setdefault(piece.series, Moments(len(piece.moments.sums)))
        found.add(piece.moments)
    products = [one.centred() if has_levels else one.products for one in series.values()]
    size = len(products[0])
    total = [[sum(one[i][j] for one in products) for j in range(i + 1)] for i in range(size)]
    gram = [[total[max(i, j)][min(i, j)] for j in range(size - 1)] for i in range(size - 1)]
    return solve_nonnegative(gram, total[-1][:-1])


def solve_nonnegative(gram: Sequence[Sequence[float]], target: Sequence[float]) -> list[float]:
    """The c ≥ 0 that makes c'·gram·c - 2·target'·c least; columns of zeros have 0."""
    n = len(target)
    scale = [1 / sqrt(gram[i][i]) if gram[i][i] > 0 else 0.0 for i in range(n)]
    scaled = [[gram[i][j] * scale[i] * scale[j] for j in range(n)] for i in range(n)]
    wanted = [target[i] * scale[i] for i in range(n)]
    found = _active_set(scaled, wanted)
    return [value * scale[i] for i, value in enumerate(found)]


def _active_set(gram: Sequence[Sequence[float]], target: Sequence[float]) -> list[float]:
    n = len(target)
    values = [0.0] * n
    free: list[int] = []
    least = _TINY * max(map(abs, target), default=0.0)
    for _ in range(3 * n):
        slopes = [
            (target[i] - sum(gram[i][j] * values[j] for j in free), i)
            for i in range(n)
            if i not in free and gram[i][i]
        ]
        steepest, column = max(slopes, default=(0.0, -1))
        if steepest <= least:
            break
        free.append(column)
        values = _descend(gram, target, free, values)
    return values


def _descend(
    gram: Sequence[Sequence[float]],
    target: Sequence[float],
    free: list[int],
    values: Sequence[float],
) -> list[float]:
    """The best values of the free columns; those that would become negative are free no more."""
    here = list(values)
    while free:
        best = _solve([[gram[i][j] for j in free] for i in free], [target[i] for i in free])
        blocked = [(i, value) for i, value in zip(free, best, strict=True) if value <= 0]
        if not blocked:
            return _placed(len(here), free, best)
        step = min(here[i] / (here[i] - value) if here[i] > value else 0.0 for i, value in blocked)
        for i, value in zip(free, best, strict=True):
            here[i] += step * (value - here[i])
        stuck = [i for i, value in blocked if here[i] <= _TINY]
        for i in stuck or [blocked[0][0]]:
            free.remove(i)
            here[i] = 0.0
    return here


def _placed(n: int, places: Sequence[int], values: Sequence[float]) -> list[float]:
    placed = [0.0] * n
    for place, value in zip(places, values, strict=True):
        placed[place] = value
    return placed


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solve a positive definite system by Cholesky's factors; one that hardly is, roughly."""
    n = len(right)
    lower = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = sqrt(max(rest, _TINY)) if i == j else rest / lower[j][j]
    forward = [0.0] * n
    for i in range(n):
        forward[i] = (right[i] - sum(lower[i][k] * forward[k] for k in range(i))) / lower[i][i]
    found = [0.0] * n
    for i in reversed(range(n)):
        later = sum(lower[k][i] * found[k] for k in range(i + 1, n))
        found[i] = (forward[i] - later) / lower[i][i]
    return found
