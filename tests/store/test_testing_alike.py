"""Jobs in memory obey the rules of a database: both must do the same in each scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskd import chain, configure
from taskd.errors import ParentUnknown
from taskd.tasks.client import default_client
from taskd.testing import collect, drain
from tests.unit.tasks_project import user_code

pytestmark = pytest.mark.one_server

SHOP = """
from taskd import Retry, Snooze, current_job, task

SEEN = []
REPLACED = dict(unique="sync", on_conflict="replace")

@task(retry=Retry(max=1, delay=60), **REPLACED)
def sync(page):
    SEEN.append(("sync", page, current_job().attempt))
    if page == "fails once" and current_job().attempt == 1:
        replace.options(priority=9).enqueue()
        raise ValueError("again")

@task
def replace():
    SEEN.append(("replaced", sync.enqueue("new").is_new))

@task
def again(left):
    SEEN.append(("again", left))
    if left:
        twin = again.options(unique="again").enqueue(left - 1)
        SEEN.append(("is new", twin.is_new, again.options(unique="again").enqueue(9).is_new))

@task
def note(what):
    SEEN.append(("note", what))
    return what

@task
def reads():
    SEEN.append(("reads", current_job().parent_results()))

@task
def late():
    SEEN.append(("late", current_job().attempt))
    if len(SEEN) < 3:
        raise Snooze(60)

@task
def fails():
    raise ValueError("for good")
"""

Run = Callable[[], object]
Scenario = Callable[[ModuleType, Run], object]


@contextmanager
def in_memory(_dsn: str) -> Iterator[Run]:
    with collect() as jobs:
        yield lambda: jobs.run(raise_errors=False)


@contextmanager
def in_a_database(dsn: str) -> Iterator[Run]:
    configure(database=dsn)
    try:
        yield lambda: drain(scheduled=True, raise_errors=False)
    finally:
        configure()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with user_code(tmp_path, monkeypatch) as code:
        yield code.module("shop", SHOP)


def a_waiting_holder_is_replaced(shop: ModuleType, run: Run) -> object:
    first = shop.sync.enqueue("old")
    second = shop.sync.enqueue("new")
    run()
    return second == first


def a_delayed_holder_is_replaced(shop: ModuleType, run: Run) -> object:
    first = shop.sync.options(delay=60).enqueue("old")
    second = shop.sync.enqueue("new")
    run()
    return second == first


def a_holder_that_waits_for_its_parent_is_replaced(shop: ModuleType, run: Run) -> object:
    parent = shop.note.enqueue("parent")
    first = shop.sync.options(after=[parent]).enqueue("old")
    second = shop.sync.enqueue("new")
    run()
    return second == first


def a_holder_in_the_pause_before_a_retry_is_replaced(shop: ModuleType, run: Run) -> object:
    shop.sync.enqueue("fails once")
    run()
    return None


def a_job_in_a_pause_whose_key_is_free_is_left_alone(shop: ModuleType, run: Run) -> object:
    shop.sync.options(unique_until="started").enqueue("fails once")
    run()
    rest, shop.SEEN[2:] = sorted(shop.SEEN[2:]), []  # memory knows no pauses, so no order of them
    return rest


def a_key_of_what_was_cancelled_before_it_began_is_free(shop: ModuleType, run: Run) -> object:
    first = shop.sync.options(unique_until="started").enqueue("old")
    first.cancel()
    second = shop.sync.options(unique_until="started").enqueue("new")
    run()
    return second.is_new


def a_window_goes_on_when_its_job_has_ended(shop: ModuleType, run: Run) -> object:
    first = shop.sync.options(unique_until=3600).enqueue("old")
    run()
    second = shop.sync.options(unique_until=3600).enqueue("new")
    run()
    return second == first


def a_job_enqueues_its_own_key_again(shop: ModuleType, run: Run) -> object:
    shop.again.options(unique="again").enqueue(2)
    run()
    return None


def a_snooze_is_no_attempt(shop: ModuleType, run: Run) -> object:
    job = shop.late.enqueue()
    run()
    return job.state, job.attempt


def a_child_of_an_unknown_job_is_refused_and_nothing_is_stored(
    shop: ModuleType, run: Run
) -> object:
    with pytest.raises(ParentUnknown, match="no such job: 4711, 4712"):
        shop.note.options(after=[4712, 4711]).enqueue("orphan")
    run()
    return None


def a_child_of_an_unknown_job_is_refused_also_if_its_key_is_held(
    shop: ModuleType, run: Run
) -> object:
    shop.sync.enqueue("old")
    with pytest.raises(ParentUnknown):
        shop.sync.options(after=[4711]).enqueue("new")
    run()
    return None


def a_child_of_what_has_failed_is_cancelled_or_runs(shop: ModuleType, run: Run) -> object:
    parent = shop.fails.enqueue()
    run()
    cancelled = shop.note.options(after=[parent]).enqueue("cancelled")
    shop.note.options(after=[parent], on_parent_failure="run").enqueue("run")
    run()
    return cancelled.state


def what_was_requeued_knows_as_what(shop: ModuleType, run: Run) -> object:
    job = shop.fails.enqueue()
    run()
    again = job.requeue()
    return job.refresh().requeued_as == again.id


def a_link_of_a_chain_is_requeued_and_reads_what_came_before(shop: ModuleType, run: Run) -> object:
    last = chain(shop.note.call("first"), shop.reads.call()).enqueue().ends[0]
    run()
    again = last.requeue()
    run()
    return again.state


def a_child_of_what_has_failed_runs_once_requeued(shop: ModuleType, run: Run) -> object:
    parent = shop.fails.enqueue()
    child = shop.note.options(after=[parent]).enqueue("again")
    run()
    again = child.requeue()
    run()
    return child.state, again.state


def what_a_block_that_raises_has_replaced_is_as_before(shop: ModuleType, run: Run) -> object:
    first = shop.sync.enqueue("old")
    with pytest.raises(ZeroDivisionError):
        replace_in_vain(shop)
    run()
    return first.state


def replace_in_vain(shop: ModuleType) -> None:
    with default_client().all_or_nothing(None) as inside:
        shop.sync.options(connection=inside).enqueue("new")
        raise ZeroDivisionError


OUTCOMES: list[tuple[Scenario, object, list[Any]]] = [
    (a_waiting_holder_is_replaced, True, [("sync", "new", 1)]),
    (a_delayed_holder_is_replaced, True, [("sync", "new", 1)]),
    (
        a_holder_that_waits_for_its_parent_is_replaced,
        True,
        [("note", "parent"), ("sync", "new", 1)],
    ),
    (
        a_holder_in_the_pause_before_a_retry_is_replaced,
        None,
        [("sync", "fails once", 1), ("replaced", False), ("sync", "new", 2)],
    ),
    (
        a_job_in_a_pause_whose_key_is_free_is_left_alone,
        [("sync", "fails once", 2), ("sync", "new", 1)],
        [("sync", "fails once", 1), ("replaced", True)],
    ),
    (a_key_of_what_was_cancelled_before_it_began_is_free, True, [("sync", "new", 1)]),
    (a_window_goes_on_when_its_job_has_ended, True, [("sync", "old", 1)]),
    (
        a_job_enqueues_its_own_key_again,
        None,
        [
            ("again", 2),
            ("is new", True, False),
            ("again", 1),
            ("is new", True, False),
            ("again", 0),
        ],
    ),
    (a_snooze_is_no_attempt, ("succeeded", 1), [("late", 1), ("late", 1), ("late", 1)]),
    (a_child_of_an_unknown_job_is_refused_and_nothing_is_stored, None, []),
    (
        a_child_of_an_unknown_job_is_refused_also_if_its_key_is_held,
        None,
        [("sync", "old", 1)],
    ),
    (a_child_of_what_has_failed_is_cancelled_or_runs, "cancelled", [("note", "run")]),
    (what_was_requeued_knows_as_what, True, []),
    (
        a_link_of_a_chain_is_requeued_and_reads_what_came_before,
        "succeeded",
        [("note", "first"), ("reads", ["first"]), ("reads", ["first"])],
    ),
    (
        a_child_of_what_has_failed_runs_once_requeued,
        ("cancelled", "succeeded"),
        [("note", "again")],
    ),
    (what_a_block_that_raises_has_replaced_is_as_before, "succeeded", [("sync", "old", 1)]),
]


@pytest.mark.parametrize("place", [in_memory, in_a_database])
@pytest.mark.parametrize(("scenario", "told", "seen"), OUTCOMES)
def test_memory_and_database_do_the_same(
    emptied_dsn: str,
    shop: ModuleType,
    scenario: Scenario,
    told: object,
    seen: list[Any],
    place: Callable[[str], Any],
) -> None:
    with place(emptied_dsn) as run:
        assert scenario(shop, run) == told

    assert seen == shop.SEEN
