from __future__ import annotations

from collections.abc import Callable

import pytest

from taskd.board import Board, Wakeups, WorkerState, write_offers
from taskd.board.layout import DUE, IDLE, IN_FLIGHT, PREFETCHED, STATE
from taskd.clock import monotonic_ns
from taskd.config.settings import PoolSettings, Settings
from taskd.pool.place import HELD_UP_NS, Place

POOLS = {
    "io": PoolSettings(queues=("mail", "sync"), greenlets=5),
    "mail": PoolSettings(queues=("mail",), greenlets=5),
    "cpu": PoolSettings(queues=("cpu",)),
    "any": PoolSettings(),
}

Stand = Callable[[str], Place]


@pytest.fixture
def stand() -> Stand:
    """Puts workers of these pools into slot after slot; all but the first are idle."""
    board = Board.create(slots=8, lanes=8)
    settings = Settings(pools=POOLS)
    places: list[Place] = []

    def enter(pool: str) -> Place:
        place = Place(
            settings=settings,
            pool=pool,
            slot=len(places),
            generation=1,
            board=board,
            wakeups=Wakeups([]),
            kick_fd=-1,
            dsn="",
        )
        place.enter()
        place.own.words[IDLE] = int(bool(places))
        place.own.words[STATE] = WorkerState.READY
        places.append(place)
        return place

    return enter


def test_neighbours_are_those_who_serve_all_of_the_queues(stand: Stand) -> None:
    busy = stand("io")
    for pool in ("io", "mail", "cpu", "any"):
        stand(pool)

    assert busy.idle_neighbours({"mail", "sync"}) == {1: 1, 4: 1}
    assert busy.idle_neighbours({"mail"}) == {1: 1, 2: 1, 4: 1}


def test_one_that_is_busy_is_no_idle_neighbour(stand: Stand) -> None:
    stand("io")

    assert stand("io").idle_neighbours({"mail"}) == {}


def test_one_whose_hub_is_held_up_is_no_idle_neighbour(stand: Stand) -> None:
    busy, held_up, other = stand("io"), stand("io"), stand("io")
    held_up.own.words[DUE] = monotonic_ns() - 10 * HELD_UP_NS
    other.own.words[DUE] = monotonic_ns() + 10**9

    assert busy.idle_neighbours({"mail"}) == {other.slot: 1}


def test_one_that_offers_less_of_the_code_is_no_neighbour(stand: Stand) -> None:
    busy, older, same = stand("io"), stand("io"), stand("io")
    for place, versions in ((busy, {"v1", "v2"}), (older, {"v1"}), (same, {"v1", "v2"})):
        write_offers(place.own, versions)

    assert busy.idle_neighbours({"mail"}) == {same.slot: 1}


def test_the_one_with_the_fewest_jobs_is_told_and_the_first_of_equals(stand: Stand) -> None:
    places = [stand("io") for _ in range(3)]
    for place, running, waiting in zip(places, (4, 2, 3), (0, 2, 1), strict=True):
        place.own.words[IN_FLIGHT], place.own.words[PREFETCHED] = running, waiting

    assert [place.has_fewest_jobs({"mail"}) for place in places] == [True, False, False]


def test_the_fullest_neighbour_is_of_the_pool_and_busy_and_holds_jobs_ready(stand: Stand) -> None:
    asker, other, fuller, idle = (stand("io") for _ in range(4))
    stranger = stand("cpu")
    for place in (other, fuller, stranger):
        place.own.words[IDLE] = 0
    assert asker.fullest_neighbour() is None

    for place, ready in ((other, 2), (fuller, 3), (idle, 8), (stranger, 9)):
        place.own.words[PREFETCHED] = ready

    assert asker.fullest_neighbour() == fuller.slot
    assert fuller.fullest_neighbour() == other.slot


def test_one_that_drains_or_serves_other_queues_does_not_count(stand: Stand) -> None:
    busy, drains, other = stand("io"), stand("io"), stand("cpu")
    busy.own.words[IN_FLIGHT] = 5
    drains.own.words[STATE] = WorkerState.DRAINING

    assert busy.has_fewest_jobs({"mail"})
    assert other.has_fewest_jobs({"cpu"})
