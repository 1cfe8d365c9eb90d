"""The jobs that a job comes after, and those that come after it."""

from __future__ import annotations

from taskd.store.connect import Connection
from taskd.store.family import MOST, Relative, find_family
from taskd.store.rows import State
from tests.store.asking import site
from tests.store.graph_makers import add_graph, add_one, claim_one, complete, dispatch, new_job
from tests.store.makers import add_worker


def ids(relatives: list[Relative]) -> list[int]:
    return [each.id for each in relatives]


def test_who_waits_knows_its_parents_and_they_know_it(connection: Connection) -> None:
    first, second, last = add_graph(connection, new_job(), new_job(), new_job(parents=(-1, -2)))

    assert ids(find_family(connection, last).parents) == [first, second]
    assert find_family(connection, first).children == [
        Relative(id=last, task="shop.sync", state=State.BLOCKED)
    ]


def test_the_family_is_known_after_all_have_ended(connection: Connection) -> None:
    worker = add_worker(connection)
    first, last = add_graph(connection, new_job(), new_job(parents=(-1,)))
    for _ in range(2):
        complete(connection, worker, [claim_one(connection, worker)])
        dispatch(connection)

    assert [each.state for each in find_family(connection, last).parents] == [State.SUCCEEDED]
    assert ids(find_family(connection, first).children) == [last]


def test_a_parent_that_was_forgotten_is_named_all_the_same(connection: Connection) -> None:
    worker = add_worker(connection)
    first, last = add_graph(connection, new_job(), new_job(parents=(-1,)))
    complete(connection, worker, [claim_one(connection, worker)])
    dispatch(connection)
    connection.execute("DELETE FROM taskd.history WHERE id = %s", (first,))

    assert find_family(connection, last).parents == [Relative(id=first, task=None, state=None)]


def test_a_child_that_was_enqueued_later_is_found_while_it_waits(connection: Connection) -> None:
    parent = add_one(connection)
    for _ in range(3):
        add_one(connection)
    child = add_one(connection, parents=(parent,))

    assert ids(find_family(connection, parent).children) == [child]


def test_of_many_children_the_first_are_told(connection: Connection) -> None:
    parent, *children = add_graph(
        connection, new_job(), *(new_job(parents=(-1,)) for _ in range(MOST + 5))
    )

    assert ids(find_family(connection, parent).children) == children[:MOST]


def test_a_job_that_is_unknown_has_none(connection: Connection) -> None:
    for unknown in (4711, 2**63 - 1):
        assert find_family(connection, unknown) == ([], [])


def test_the_api_tells_them(dsn: str, connection: Connection) -> None:
    first, last = add_graph(connection, new_job(), new_job(parents=(-1,)))

    with site(dsn) as web:
        found = web.api(f"/jobs/{last}/family")

    assert found == {
        "parents": [{"id": first, "task": "shop.sync", "state": "queued"}],
        "children": [],
    }
