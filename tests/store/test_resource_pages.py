"""A page of resources reads what it shows, however many are held and waited for."""

from __future__ import annotations

from typing import Any

import pytest

from taskd.store import resources
from taskd.store.connect import Connection
from taskd.store.resources import ResourceKey, ResourceRow, list_resources
from tests.store.test_plans import rows_read

NAMES = 20_000
PAGE = 50
FILL = """
INSERT INTO taskd.resource (name, used, waiting)
SELECT CASE WHEN n %% 2 = 0 THEN 'held-' ELSE 'wanted-' END || to_char(n, 'FM000000'), 1, n %% 2 = 1
FROM generate_series(1, %s) n
"""
LIMITS = """
INSERT INTO taskd.capacity (name, units, is_declared)
SELECT '@key ' || to_char(n, 'FM000000'), 5, n %% 100 = 0 FROM generate_series(1, %s) n
"""
LINES = """
INSERT INTO taskd.line (res, turn, place, need, id)
SELECT r.name, 0, p, 1, p FROM taskd.resource r, generate_series(1, 3) p WHERE r.waiting
"""


@pytest.fixture(params=["analyzed", "never analyzed"])
def many(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    list_resources(connection, None, PAGE, 3)  # plans are made while all is empty
    connection.execute(FILL, (NAMES,))
    connection.execute(LINES)
    if request.param == "analyzed":
        connection.execute("ANALYZE")
    return connection


def page(connection: Connection, after: ResourceKey | None) -> tuple[list[ResourceRow], int]:
    """A page, and how many entries of resources and lines it has read."""
    with connection.transaction():
        before = rows_read(connection, "resource") + rows_read(connection, "line")
        found = list_resources(connection, None, PAGE, 3, after)
        return found, rows_read(connection, "resource") + rows_read(connection, "line") - before


@pytest.mark.parametrize(
    ("after", "first"),
    [
        (None, "wanted-000001"),
        (ResourceKey(True, "wanted-010000"), "wanted-010001"),
        (ResourceKey(False, ""), "held-000002"),
        (ResourceKey(False, "held-010000"), "held-010002"),
    ],
)
def test_a_page_reads_no_more_than_it_shows(
    many: Connection, after: ResourceKey | None, first: str
) -> None:
    found, read = page(many, after)

    assert [found[0].name, len(found)] == [first, PAGE]
    assert {row.waiting for row in found} == {3 if first.startswith("wanted") else 0}
    assert read < 20 * PAGE


@pytest.mark.parametrize("is_analyzed", [True, False])
def test_limits_that_code_has_named_are_not_read_for_those_of_the_file(
    connection: Connection, is_analyzed: bool
) -> None:
    list_resources(connection, None, PAGE, 3)  # plans are made while all is empty
    connection.execute(LIMITS, (NAMES,))
    if is_analyzed:
        connection.execute("ANALYZE")

    with connection.transaction():
        before = rows_read(connection, "capacity")
        found = list_resources(connection, None, PAGE, 3)
        read = rows_read(connection, "capacity") - before

    assert [row.name for row in found] == [f"@key {100 * n:06}" for n in range(1, PAGE + 1)]
    assert read < 5 * PAGE


def test_a_page_that_is_full_of_what_is_waited_for_reads_no_limits(many: Connection) -> None:
    many.execute(LIMITS, (NAMES,))

    with many.transaction():
        before = rows_read(many, "capacity")
        found = list_resources(many, None, PAGE, 3)
        read = rows_read(many, "capacity") - before

    assert [row.waiting > 0 for row in found] == [True] * PAGE
    assert read == 0


def test_the_pages_hold_each_of_them_once(many: Connection) -> None:
    names: list[str] = []
    after: ResourceKey | None = None

    while found := list_resources(many, None, 1500, 3, after):
        names += [row.name for row in found]
        after = found[-1].key

    assert len(names) == len(set(names)) == NAMES
    assert names == sorted(names, key=lambda name: (name.startswith("held"), name))


def test_all_states_together_are_looked_through_in_the_time_of_one_look(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them takes all the time that it is given, and finds nobody."""
    looks: list[tuple[str, float | None]] = []
    clock = [100.0]

    def look(
        _: object, state: str, names: list[str], first: int, seconds: float | None
    ) -> list[Any]:
        looks.append((state, seconds))
        clock[0] += seconds or 0.0
        return []

    monkeypatch.setattr(resources, "monotonic", lambda: clock[0])
    monkeypatch.setattr(resources, "_look", look)

    found = resources.find_holders(connection, {"repo:42": 5}, 3)

    assert [state for state, _ in looks] == ["running", "queued", "scheduled", "blocked"]
    assert clock[0] - 100.0 == pytest.approx(resources.LOOK_SECONDS)
    assert resources.LOOK_SECONDS < 0.2
    assert found["repo:42"].hidden == 5
