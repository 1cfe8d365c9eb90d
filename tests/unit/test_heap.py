from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from taskd.pool import heap


class Leaked:
    pass


@pytest.fixture(autouse=True)
def few_objects() -> Iterator[None]:
    """Hide what a whole test run holds: to look through it takes seconds."""
    gc.freeze()
    yield
    gc.unfreeze()


def leaking(kept: list[Leaked], pauses: list[float]) -> Any:
    """A pause in which objects are leaked, if it is the one between the two moments."""

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if seconds == 7.0:
            kept.extend(Leaked() for _ in range(3000))

    return pause


def test_the_type_and_the_container_that_grow_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [Leaked() for _ in range(200)]
    module = ModuleType("shop_cache")
    vars(module)["SEEN"] = kept
    monkeypatch.setitem(sys.modules, "shop_cache", module)

    found = heap.measure(7.0, leaking(kept, []))

    grown = {one["type"]: one["after"] - one["before"] for one in found["types"]}
    assert grown["tests.unit.test_heap.Leaked"] == 3000
    (container,) = [one for one in found["containers"] if one["name"] == "shop_cache.SEEN"]
    assert container == {"type": "list", "name": "shop_cache.SEEN", "before": 200, "after": 3200}


def test_a_container_in_an_attribute_of_a_global_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cache:
        def __init__(self) -> None:
            self.entries: list[Leaked] = [Leaked() for _ in range(200)]

    module = ModuleType("shop_cache")
    vars(module)["cache"] = cache = Cache()
    monkeypatch.setitem(sys.modules, "shop_cache", module)

    found = heap.measure(7.0, leaking(cache.entries, []))

    assert "shop_cache.cache.entries" in [one["name"] for one in found["containers"]]


def test_it_pauses_between_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "SLICE_SECONDS", 0.0)
    pauses: list[float] = []

    found = heap.measure(1.0, pauses.append)

    assert pauses.count(heap.PAUSE_SECONDS) > 2
    assert 0 < found["longest_stop"] < 1


def test_it_pauses_within_a_module_of_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop_many")
    vars(module).update((f"name{n}", n) for n in range(300_000))
    monkeypatch.setattr(heap, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(heap, "_slices", lambda count, pause, moment: [slice(count)])
    pauses: list[float] = []

    with monkeypatch.context() as alone:
        alone.setattr(sys, "modules", {"shop_many": module})
        heap.take_moment(pauses.append)

    assert len(pauses) >= 300_000 // heap.SLICE_NAMES


def test_what_is_too_large_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "MOST_BLOCKS", 1)

    found = heap.measure(1.0, lambda seconds: pytest.fail("it looked"))

    assert "would stop it for too long" in found["note"]
