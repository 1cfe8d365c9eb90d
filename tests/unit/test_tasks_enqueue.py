from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskd.errors import ArgumentsMismatch, NotATask, NotJson, OptionInvalid, TooLarge
from taskd.tasks import batches
from taskd.tasks.calls import PART_JOBS
from taskd.tasks.enqueue import enqueue, enqueue_many
from tests.unit.tasks_project import MemoryClient, UserCode, memory_client, user_code

SHOP = """
from taskd import task

@task(queue="sync", retry=2)
def fetch(url, n=1): ...

def plain(text): ...
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def shop(code: UserCode) -> Any:
    return code.module("eshop", SHOP)


@pytest.fixture(autouse=True)
def client() -> Iterator[MemoryClient]:
    with memory_client() as made:
        yield made


def test_a_task_can_be_named_by_its_path(shop: Any, client: MemoryClient) -> None:
    enqueue("eshop.fetch", "u")
    enqueue(shop.fetch, "u")

    assert [(one.task, one.queue, one.max_attempts) for one in client.batches] == [
        ("eshop.fetch", "sync", 3)
    ] * 2


def test_a_plain_function_can_be_enqueued_as_such_or_by_its_path(
    shop: Any, client: MemoryClient
) -> None:
    enqueue(shop.plain, "u")
    enqueue("eshop.plain", text="u")

    assert [one.task for one in client.batches] == ["eshop.plain"] * 2
    assert [one.queue for one in client.batches] == ["default"] * 2


def test_a_task_around_another_one_is_enqueued_as_itself(
    code: UserCode, client: MemoryClient
) -> None:
    source = (
        SHOP
        + """
import functools

fetch.enqueue("u")

@task
@functools.wraps(fetch)
def outer(*args): ...

outer.__name__ = outer.__qualname__ = "outer"
"""
    )
    shop = code.module("eshop", source)
    client.batches.clear()

    shop.outer.enqueue("u")

    (batch,) = client.batches
    assert (batch.task, batch.queue) == (shop.outer.name, "default")


def test_a_name_that_is_not_known_here_is_stored_and_nothing_imported(
    code: UserCode, client: MemoryClient
) -> None:
    code.write("untouched.py", "raise SystemExit('imported')")

    caller: Any = "conn"
    enqueue("untouched.run", 1, connection=caller)

    assert client.batches[0].task == "untouched.run"
    assert client.connections == ["conn"]


def test_an_unknown_name_gets_the_options_that_a_daemon_has_published(client: MemoryClient) -> None:
    client.offers["far.away"] = {"queue": "far", "priority": 8, "timeout": 3.0, "retries": 4}

    enqueue("far.away", 1)
    enqueue_many("far.away", [(1,)], queue="near")

    first, second = client.batches
    assert (first.queue, first.priority, first.timeout, first.max_attempts) == ("far", 8, 3.0, 5)
    assert (second.queue, second.priority) == ("near", 8)


def test_a_name_gets_the_version_that_a_daemon_has_published_for_it(client: MemoryClient) -> None:
    offer = {"queue": "far", "priority": 8, "timeout": None, "retries": 0, "requires": "v2"}
    client.offers["far.away"] = offer

    enqueue("far.away", 1)
    enqueue_many("far.away", [(1,)], queue="near")

    assert [batch.queue for batch in client.batches] == ["far@v2", "near@v2"]


def test_what_must_not_run_twice_says_so_in_its_row_also_if_only_its_name_is_known(
    code: UserCode, client: MemoryClient
) -> None:
    code.module(
        "ecareful",
        "from taskd import task\n"
        "@task(on_lost='fail', on_interrupt='fail')\ndef pay(): ...\n"
        "@task\ndef other(): ...",
    )
    offer = {"queue": "far", "priority": 8, "timeout": None, "retries": 0, "on_lost": "fail"}
    client.offers["far.away"] = offer

    for name in ("ecareful.pay", "far.away", "ecareful.other"):
        enqueue(name)

    extras = [one.extra and json.loads(one.extra) for one in client.batches]
    assert extras == [{"on_interrupt": "fail", "on_lost": "fail"}, {"on_lost": "fail"}, None]


@pytest.mark.parametrize("name", ["", "a b", "a\0b", "x" * 300])
def test_what_is_no_name_is_refused(name: str, client: MemoryClient) -> None:
    with pytest.raises(OptionInvalid, match="task="):
        enqueue(name)


@pytest.mark.parametrize("function", [lambda: None, len, 3, None, Path])
def test_what_no_worker_could_find_is_refused(function: Any, client: MemoryClient) -> None:
    with pytest.raises(NotATask):
        enqueue(function)


def test_options_for_many_are_given_as_keywords_and_a_mistake_is_told(
    shop: Any, client: MemoryClient
) -> None:
    with pytest.raises(NotATask, match=r"enqueue_many\(fetch, …, delay=30\)"):
        enqueue_many(shop.fetch.options(delay=30), [("u",)])


def test_arguments_are_checked_where_the_function_is_known(shop: Any, client: MemoryClient) -> None:
    with pytest.raises(ArgumentsMismatch, match="did you mean 'url'"):
        enqueue("eshop.fetch", ur="u")
    with pytest.raises(ArgumentsMismatch, match="missing a required argument: 'text'"):
        enqueue("eshop.plain")
    with pytest.raises(NotJson, match=r"argument url: set is not JSON"):
        shop.fetch.enqueue(url={1})
    with pytest.raises(TooLarge, match="allowed 1,000"):
        shop.fetch.enqueue("x" * 1001)
    assert client.batches == []


def test_many_calls_are_stored_at_once_in_order(shop: Any, client: MemoryClient) -> None:
    jobs = enqueue_many(shop.fetch, [("a",), ["b", 2], {"url": "c"}], delay=3)

    (batch,) = client.batches
    assert batch.args == ['["a"]', '["b",2]', "[]"]
    assert batch.kwargs == [None, None, '{"url":"c"}']
    assert (batch.delay, batch.queue) == (3.0, "sync")
    assert [job.id for job in jobs] == [1, 2, 3]


def test_no_calls_at_all_are_no_error(shop: Any, client: MemoryClient) -> None:
    assert enqueue_many(shop.fetch, []) == []
    assert client.batches == []


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ("b", "item 1 is of type str: give each call's arguments as a tuple"),
        (3, "item 1 is of type int"),
        ((1, 2, 3), "item 1: fetch() got 3 positional arguments, too many"),
        (({1},), "item 1: argument 1: set is not JSON"),
        ({1: 2}, "item 1: the key 1 is of type int"),
        (("x" * 2000,), "item 1: the arguments: 2,004 bytes"),
    ],
)
def test_one_bad_item_is_named_and_nothing_stored(
    shop: Any, client: MemoryClient, item: Any, sentence: str
) -> None:
    with pytest.raises((ArgumentsMismatch, NotJson, TooLarge)) as refused:
        enqueue_many(shop.fetch, [("a",), item, ("c",)])

    assert sentence in str(refused.value)
    assert client.batches == []


@pytest.mark.parametrize("item", ["b", ({1},), (1, 2, 3), ("x" * 2000,), ([{2}],), {"ur": 1}])
def test_of_many_calls_the_bad_one_is_named_wherever_it_stands(
    shop: Any, client: MemoryClient, item: Any
) -> None:
    place = 2 * PART_JOBS + 345
    items: list[Any] = [(f"u{number}",) for number in range(3 * PART_JOBS)]
    items[place] = item

    with pytest.raises((ArgumentsMismatch, NotJson, TooLarge), match=f"^item {place}\\b"):
        enqueue_many(shop.fetch, items)

    assert client.batches == []


@pytest.mark.parametrize("value", [7, None, [1, [2]], {"a": [1]}, "],["])
def test_many_calls_keep_their_order_and_their_arguments(
    shop: Any, client: MemoryClient, value: Any
) -> None:
    items: list[Any] = [(f"u{number}",) for number in range(3 * PART_JOBS + 1)]
    items[1234] = ("odd", value)

    jobs = enqueue_many(shop.fetch, items)

    stored = [json.loads(args) for one in client.batches for args in one.args]
    assert stored == [list(item) for item in items]
    assert [job.id for job in jobs] == list(range(1, len(items) + 1))
    assert [len(one.args) for one in client.batches] == [PART_JOBS, 2 * PART_JOBS, 1]


def test_calls_are_cut_into_statements_by_number_and_size(
    shop: Any, client: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_STATEMENT_JOBS", 3)
    monkeypatch.setattr(batches, "MAX_STATEMENT_CHARACTERS", 40)
    texts = ["a", "b", "c", "d" * 30, "e" * 60, "f"]

    jobs = enqueue_many(shop.fetch, [(text,) for text in texts])

    assert [len(one.args) for one in client.batches] == [3, 1, 1, 1]
    stored = [json.loads(args)[0] for one in client.batches for args in one.args]
    assert stored == texts
    assert [job.id for job in jobs] == [1, 2, 3, 4, 5, 6]
