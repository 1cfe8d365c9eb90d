"""A call on its way into the store, changed by middleware."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from taskd import NewCall, exclusive, shared
from taskd.errors import NotJson, OptionInvalid, TooLarge
from taskd.tasks.calls import Target
from taskd.tasks.hooks.headers import MAX_HEADERS
from taskd.tasks.options import DEFAULTS, read_placement
from taskd.tasks.resources import Bounds

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def call(**options: Any) -> NewCall:
    placement = read_placement(DEFAULTS, options)
    return NewCall(target=Target("shop.sync"), args=(1,), kwargs={}, placement=placement)


def test_options_that_are_not_named_stay_as_they_are() -> None:
    before = call(
        queue="mail", priority=7, timeout=9, retry=3, delay=5, expires=60, unique="k",
        unique_until="started", after=[4], on_parent_failure="run",
    )  # fmt: skip

    assert before.with_options().placement == before.placement
    changed = before.with_options(queue="slow", on_conflict="replace").placement
    assert changed.queue == "slow"
    assert (changed.unique and changed.unique.key, changed.unique and changed.unique.until) == (
        "k",
        "started",
    )
    assert changed.unique is not None
    assert changed.unique.on_conflict == "replace"
    assert (changed.priority, changed.timeout, changed.retries, changed.delay) == (7, 9, 3, 5)
    assert (changed.after, changed.run_if_failed, changed.extra) == ((4,), True, {"expires_in": 60})


def test_a_delay_takes_the_place_of_a_moment_and_the_reverse() -> None:
    later = call(run_at=NOON).with_options(delay=5).placement
    at_noon = call(delay=5).with_options(run_at=NOON).placement

    assert (later.delay, later.run_at) == (5, None)
    assert (at_noon.delay, at_noon.run_at) == (None, NOON)


def test_retries_and_expiry_can_be_changed() -> None:
    assert call(retry=3).with_options(retry=0).placement.retries == 0
    assert call(expires=60).with_options(expires=None).placement.extra == {}
    assert call().with_options(expires=5).placement.extra == {"expires_in": 5}


def test_a_changed_expiry_leaves_the_rest_of_extra_alone() -> None:
    before = call()
    before = replace(before, placement=replace(before.placement, extra={"a": 1, "expires": 2}))

    assert before.with_options(expires=60).placement.extra == {"a": 1, "expires_in": 60}


def test_an_option_that_cannot_be_is_refused_as_ever() -> None:
    with pytest.raises(OptionInvalid, match="priority=11 is not between"):
        call().with_options(priority=11)
    with pytest.raises(OptionInvalid, match="connection=1 is settled"):
        call().with_options(connection=1)  # type: ignore[typeddict-item]


def test_arguments_can_be_replaced() -> None:
    changed = call().with_arguments(2, to="x")

    assert (changed.args, changed.kwargs) == ((2,), {"to": "x"})


def test_headers_add_up_and_travel_in_extra() -> None:
    changed = call(expires=60).with_headers(trace="a1", depth=1).with_headers(depth=2)

    assert changed.full_placement.extra == {
        "expires_in": 60,
        "headers": {"trace": "a1", "depth": 2},
    }
    assert "headers" not in call().full_placement.extra


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"at": NOON}, "header at: datetime is not JSON; pass an ISO string"),
        ({"deep": {"when": {1, 2}}}, "header deep: when: set is not JSON"),
        ({"nul": "a\0b"}, "header nul: the text holds a NUL character"),
        ({"nan": float("nan")}, "header nan: nan is not JSON"),
        ({"a\0": 1}, "the names of the headers: the key 'a.x00' holds a NUL character"),
    ],
)
def test_a_header_that_is_not_json_is_named(headers: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotJson, match=sentence):
        call().with_headers(**headers)


def test_headers_are_bounded_together() -> None:
    half = "é" * (MAX_HEADERS // 4)
    call().with_headers(first=half)

    with pytest.raises(TooLarge, match=r"the headers: .* bytes of JSON are more than the allowed"):
        call().with_headers(first=half).with_headers(second=half)


def test_resources_are_replaced_and_the_rest_of_what_a_job_needs_stays() -> None:
    before = call(resources=[exclusive("a")])
    limited = replace(before.placement.needs, bounds=Bounds(concurrency=3), fair_by="x")
    before = replace(before, placement=replace(before.placement, needs=limited))

    changed = before.with_options(resources=[shared("b")])

    assert before.with_options(queue="slow").placement.needs == limited
    assert changed.placement.needs == replace(limited, resources=(shared("b"),))
