"""The fit finds what made the numbers, says how sure it is, and knows no negative."""

from __future__ import annotations

import random

import pytest

from taskd.fitting import Moments, Piece, fit, solve_nonnegative


def pieces(rows: list[tuple[float, ...]], series: int = 0, groups: int = 10) -> list[Piece]:
    made = [Piece(series, group, Moments(len(rows[0]))) for group in range(groups)]
    for number, row in enumerate(rows):
        made[number * groups // len(rows)].moments.take(row)
    return made


def test_exact_rows_give_their_coefficients_and_no_doubt() -> None:
    chance = random.Random(1)
    xs = [(chance.random(), chance.random()) for _ in range(200)]
    rows = [(a, b, 3 * a + 0.5 * b + 100) for a, b in xs]

    first, second = fit(pieces(rows))

    assert first.value == pytest.approx(3)
    assert second.value == pytest.approx(0.5)
    assert first.high - first.low < 1e-6


def test_each_series_has_a_level_of_its_own() -> None:
    chance = random.Random(2)
    made = []
    for series, level in enumerate((0.0, 1e6)):
        xs = [chance.random() + series for _ in range(50)]
        made += pieces([(x, 2 * x + level) for x in xs], series)

    (slope,) = fit(made)

    assert slope.value == pytest.approx(2)


def test_what_would_be_negative_is_nothing_and_the_rest_is_fitted_without_it() -> None:
    chance = random.Random(3)
    xs = [(chance.random(), chance.random()) for _ in range(200)]
    rows = [(a, b, 3 * a - 2 * b) for a, b in xs]

    first, second = fit(pieces(rows))

    assert second.value == 0
    assert 2 < first.value < 4


def test_noise_widens_the_interval_and_the_truth_is_in_it() -> None:
    inside = 0
    for seed in range(40):
        chance = random.Random(seed)
        rows = [(x, 5 * x + chance.gauss(0, 1)) for x in (chance.random() for _ in range(200))]
        (slope,) = fit(pieces(rows))
        inside += slope.low <= 5 <= slope.high
        assert 0.1 < slope.error < 0.6

    assert inside >= 34


def test_a_column_that_is_always_zero_has_no_coefficient() -> None:
    assert solve_nonnegative([[4.0, 0.0], [0.0, 0.0]], [8.0, 0.0]) == [2.0, 0.0]


def test_columns_that_are_the_same_share_what_there_is() -> None:
    found = solve_nonnegative([[4.0, 4.0], [4.0, 4.0]], [8.0, 8.0])

    assert sum(found) == pytest.approx(2.0)


def test_one_group_alone_tells_nothing_of_its_error() -> None:
    (slope,) = fit(pieces([(x, 2 * x) for x in (1.0, 2.0, 3.0)], groups=1))

    assert slope.value == pytest.approx(2)
    assert slope.low == 0
