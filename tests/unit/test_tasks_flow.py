from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd import chain, chord, group
from taskd.errors import DependsOnItself, NotJson, OptionInvalid
from taskd.store.rows import NewGraph
from taskd.tasks.flow import Chain, Group, TaskCall, _in_order
from taskd.tasks.options import DEFAULTS
from taskd.tasks.task import Task
from tests.unit.tasks_project import MemoryClient, memory_client, user_code

SHOP = """
from taskd import task

@task(queue="sync")
def fetch(url, page=0): ...

@task(unique=True)
def total(): ...
"""


@pytest.fixture
def client() -> Iterator[MemoryClient]:
    with memory_client() as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with user_code(tmp_path, monkeypatch) as code:
        yield code.module("shop", SHOP)


def parents(client: MemoryClient) -> list[tuple[int, ...]]:
    """Of each job of the only graph that was enqueued: the places of its parents, from 1."""
    (graph,) = client.batches
    assert isinstance(graph, NewGraph)
    return [tuple(sorted(-parent for parent in job.parents)) for job in graph.jobs]


def test_a_chain_is_one_after_the_other(shop: ModuleType, client: MemoryClient) -> None:
    jobs = chain(shop.fetch.call("a"), shop.fetch.call("b"), shop.total.call()).enqueue()

    assert parents(client) == [(), (1,), (2,)]
    assert [job.id for job in jobs.jobs] == [1, 2, 3]
    assert jobs.last.id == 3


def test_a_chord_ends_with_the_job_that_follows_all(shop: ModuleType, client: MemoryClient) -> None:
    calls = [shop.fetch.call(url) for url in "abc"]
    jobs = chord(calls, shop.total.call()).enqueue()

    assert parents(client) == [(), (), (), (1, 2, 3)]
    assert [job.id for job in jobs.ends] == [4]


def test_flows_nest(shop: ModuleType, client: MemoryClient) -> None:
    fetch = shop.fetch
    inner = chain(fetch.call("b"), fetch.call("c"))
    chain(fetch.call("a"), group(inner, fetch.call("d")), shop.total.call()).enqueue()

    assert parents(client) == [(), (1,), (1,), (2,), (3, 4)]


def test_a_call_in_two_places_is_one_job_after_both(shop: ModuleType, client: MemoryClient) -> None:
    last = shop.total.call()
    group(chain(shop.fetch.call("a"), last), chain(shop.fetch.call("b"), last)).enqueue()

    assert parents(client) == [(), (), (1, 2)]


def test_after_draws_any_shape(shop: ModuleType, client: MemoryClient) -> None:
    a, b, c, d = (shop.fetch.call(url) for url in "abcd")
    c.after(a, b)
    d.after(c)
    group(d, c, b, a).enqueue()

    assert parents(client) == [(), (), (1, 2), (3,)]


def test_what_would_come_after_itself_is_refused(shop: ModuleType, client: MemoryClient) -> None:
    a, b = shop.fetch.call("a"), shop.fetch.call("b")
    a.after(b)
    b.after(a)

    with pytest.raises(DependsOnItself, match=r"call of shop\.fetch.* would come after themselves"):
        group(a, b).enqueue()
    with pytest.raises(DependsOnItself):
        chain(shop.total.call(), again := shop.fetch.call("c"), again).enqueue()

    assert client.batches == []


def test_a_parent_that_is_no_part_of_the_flow_is_refused(
    shop: ModuleType, client: MemoryClient
) -> None:
    stranger = shop.fetch.call("x")

    with pytest.raises(OptionInvalid, match="no part of the flow"):
        group(shop.fetch.call("a").after(stranger)).enqueue()


@pytest.mark.parametrize("make", [chain, group])
@pytest.mark.parametrize("parts", [(), ("text",), (7,)])
def test_what_is_no_call_is_refused(make: Any, parts: tuple[Any, ...]) -> None:
    with pytest.raises(OptionInvalid, match=r"parts|is no call"):
        make(*parts)


def test_calls_carry_their_options_keys_and_arguments(
    shop: ModuleType, client: MemoryClient
) -> None:
    late = shop.fetch.options(delay=30, priority=9, after=[77], on_parent_failure="run")
    chain(late.call("a", page=3), shop.total.call()).enqueue()

    (graph,) = client.batches
    first, last = graph.jobs  # type: ignore[union-attr]
    assert (first.queue, first.priority, first.delay, first.run_if_failed) == (
        "sync",
        9,
        30.0,
        True,
    )
    assert (first.args, first.kwargs, first.parents) == ('["a"]', '{"page":3}', (77,))
    assert (last.key, last.until, last.on_conflict) == ("shop.total({})", "finished", "keep")
    assert first.is_grouped


def test_one_bad_argument_stores_nothing(shop: ModuleType, client: MemoryClient) -> None:
    with pytest.raises(NotJson):
        group(shop.fetch.call("a"), shop.fetch.call(object())).enqueue()

    assert client.batches == []


def test_the_connection_belongs_to_the_whole_flow(shop: ModuleType) -> None:
    with pytest.raises(OptionInvalid, match="is for the whole flow"):
        shop.fetch.options(connection=object()).call("a")


def test_a_connection_tells_that_the_transaction_is_a_callers(
    shop: ModuleType, client: MemoryClient
) -> None:
    connection: Any = object()
    group(shop.fetch.call("a")).enqueue(connection=connection)

    assert client.connections == [connection]
    assert client.batches[0].always_notify


def nothing() -> None:
    """A task for calls that are never enqueued."""


NOTHING: Task[[], None] = Task(nothing, "nothing", DEFAULTS)


@given(
    st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40),
    st.integers(1, 15),
)
def test_any_graph_is_put_in_order_or_refused(pairs: list[tuple[int, int]], count: int) -> None:
    calls: list[TaskCall[None]] = [NOTHING.call() for _ in range(count)]
    before = {call: dict.fromkeys([]) for call in calls}
    for parent, child in pairs:
        if parent < count and child < count:
            before[calls[child]][calls[parent]] = None

    try:
        ordered = list(_in_order(before))
    except DependsOnItself:
        assert has_circle(before)
    else:
        assert sorted(map(id, ordered)) == sorted(map(id, calls))
        places = {call: place for place, call in enumerate(ordered)}
        assert all(places[p] < places[c] for c, known in before.items() for p in known)


def has_circle(before: dict[TaskCall[Any], dict[TaskCall[Any], None]]) -> bool:
    """Whether taking away calls without parents, again and again, leaves some."""
    left = {call: set(known) for call, known in before.items()}
    while free := [call for call, known in left.items() if not known]:
        for call in free:
            del left[call]
        for known in left.values():
            known.difference_update(free)
    return bool(left)


def test_flows_are_values() -> None:
    call = NOTHING.call()

    assert chain(call) == Chain((call,))
    assert group([call]) == Group((call,)) == group(call)
