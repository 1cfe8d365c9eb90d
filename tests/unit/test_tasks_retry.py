from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskd.errors import OptionInvalid
from taskd.tasks.retry import MAX_RETRIES, Retry

SECONDS = st.floats(min_value=0, max_value=1e7)
SHARES = st.floats(min_value=0, max_value=1)
ATTEMPTS = st.integers(min_value=2, max_value=MAX_RETRIES + 1)


RETRIES = st.builds(
    Retry,
    max=st.just(MAX_RETRIES),
    delay=SECONDS,
    max_delay=SECONDS,
    jitter=SHARES,
    backoff=st.sampled_from(["exponential", "linear", lambda number: 10.0 ** min(number, 300)]),
)


@given(retry=RETRIES, attempt=ATTEMPTS, random=SHARES)
def test_no_pause_is_negative_or_longer_than_max_delay(
    retry: Retry, attempt: int, random: float
) -> None:
    assert 0 <= retry.delay_before(attempt, random) <= retry.max_delay


@example(retry=Retry(max=9, delay=1.0, max_delay=1.0, jitter=1.08e-16), attempt=2, random=0.0)
@given(retry=RETRIES, attempt=ATTEMPTS, random=SHARES)
def test_jitter_moves_a_pause_by_its_share_at_most(
    retry: Retry, attempt: int, random: float
) -> None:
    exact = replace(retry, jitter=0.0).delay_before(attempt, 0.0)

    pause = retry.delay_before(attempt, random)

    assert abs(pause - exact) <= exact * retry.jitter * (1 + 1e-9) + 2 * math.ulp(exact)


@given(retry=RETRIES, attempt=st.integers(2, MAX_RETRIES))
def test_the_mean_of_a_pause_never_shrinks_from_one_retry_to_the_next(
    retry: Retry, attempt: int
) -> None:
    def mean(attempt: int) -> float:
        return (retry.delay_before(attempt, 0.0) + retry.delay_before(attempt, 1.0)) / 2

    assert mean(attempt) <= mean(attempt + 1) * (1 + 1e-9)


@given(retry=RETRIES, attempt=ATTEMPTS, first=SHARES, second=SHARES)
def test_a_larger_random_number_never_makes_a_pause_shorter(
    retry: Retry, attempt: int, first: float, second: float
) -> None:
    less, more = sorted((first, second))

    assert retry.delay_before(attempt, less) <= retry.delay_before(attempt, more) * (1 + 1e-9)


@pytest.mark.parametrize("backoff", ["exponential", "linear", lambda number: 2**number])
def test_attempts_without_number_wait_for_max_delay(backoff: Any) -> None:
    retry = Retry(max=MAX_RETRIES, delay=1e-6, backoff=backoff, max_delay=0.01, jitter=0)

    assert retry.delay_before(MAX_RETRIES + 1, 0.5) == 0.01


@pytest.mark.parametrize("pause", [math.inf, 10**400, 1e300])
def test_a_backoff_function_may_ask_for_more_than_there_is(pause: float) -> None:
    retry = Retry(max=1, backoff=lambda number: pause, max_delay=60, jitter=0)

    assert retry.delay_before(2, 0.5) == 60


@pytest.mark.parametrize("pause", [-0.1, math.nan, -math.inf, "5", None, True])
def test_a_backoff_function_that_gives_no_pause_is_refused(pause: Any) -> None:
    retry = Retry(max=1, backoff=lambda number: pause)

    with pytest.raises(OptionInvalid, match=r"backoff\(1\)="):
        retry.delay_before(2, 0.5)


def test_exponential_pauses_double_from_the_first_retry_on() -> None:
    retry = Retry(max=5, delay=10, max_delay=60, jitter=0)

    assert [retry.delay_before(n, 0.5) for n in range(2, 6)] == [10, 20, 40, 60]


def test_linear_pauses_grow_by_the_delay() -> None:
    retry = Retry(max=5, delay=10, backoff="linear", jitter=0)

    assert [retry.delay_before(n, 0.5) for n in range(2, 5)] == [10, 20, 30]


def test_a_backoff_function_gets_the_number_of_the_retry() -> None:
    retry = Retry(max=5, backoff=lambda number: number * 100, jitter=0)

    assert retry.delay_before(3, 0.5) == 200


def test_a_backoff_function_that_gives_no_seconds_is_named() -> None:
    retry = Retry(max=5, backoff=lambda number: -number)

    with pytest.raises(OptionInvalid, match=r"backoff\(2\)=-2 is not between 0"):
        retry.delay_before(3, 0.5)


def test_jitter_spreads_a_pause_to_both_sides() -> None:
    retry = Retry(max=5, delay=100, jitter=0.1)

    assert retry.delay_before(2, 0.0) == pytest.approx(90)
    assert retry.delay_before(2, 1.0) == pytest.approx(110)


def test_only_wanted_errors_are_retried_and_never_goes_first() -> None:
    retry = Retry(max=1, on=(OSError,), never=(FileNotFoundError,))

    assert retry.wants(ConnectionError())
    assert not retry.wants(ValueError())
    assert not retry.wants(FileNotFoundError())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max": -1}, "Retry: max=-1 is not between 0 and"),
        ({"max": True}, "Retry: max=True is not a whole number"),
        ({"max": 40_000}, "Retry: max=40000 is not between"),
        ({"max": 1, "delay": -2}, "Retry: delay=-2 is not between"),
        ({"max": 1, "delay": float("nan")}, "Retry: delay=nan is not between"),
        ({"max": 1, "delay": "5s"}, "Retry: delay='5s' is not a number of seconds"),
        ({"max": 1, "jitter": 1.5}, "Retry: jitter=1.5 is not a share"),
        ({"max": 1, "backoff": "quadratic"}, "Retry: backoff='quadratic' is not"),
        ({"max": 1, "on": (ValueError, "x")}, "Retry: on='x' is not an exception class"),
        ({"max": 1, "never": 3}, "Retry: never=3 is not an exception class"),
    ],
)
def test_a_value_out_of_bounds_is_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionInvalid) as refused:
        Retry(**options)

    assert sentence in str(refused.value)
