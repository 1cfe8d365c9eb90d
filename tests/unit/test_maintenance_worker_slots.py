from __future__ import annotations

from taskd.board import WorkerState, write_offers
from taskd.board.layout import IDLE, IN_FLIGHT, STATE, WARM
from taskd.config.settings import PoolSettings
from tests.crew import CPU, IO, Crew


def test_one_job_wakes_one_worker_and_the_warm_one() -> None:
    crew = Crew()
    for slot in (1, 0, 2):
        crew.hire(slot, idle=25)

    crew.slots.wake("mail", 1)

    assert crew.take_wakeups() == [1]


def test_workers_are_woken_until_their_free_slots_suffice() -> None:
    crew = Crew()
    for slot in range(4):
        crew.hire(slot, idle=25)

    woken = crew.slots.wake("mail", 60)

    assert woken == len(crew.take_wakeups()) == 3


def test_jobs_without_number_wake_every_idle_worker_of_the_queue() -> None:
    crew = Crew({"io": IO, "cpu": PoolSettings(queues=("numbers",), processes=2)})
    crew.hire(0, idle=25)
    crew.hire(1, idle=0)
    crew.hire(2, idle=3)
    crew.hire(3, "cpu", idle=1)

    crew.slots.wake("mail", None)

    assert crew.take_wakeups() == [0, 2]


def test_two_jobs_in_quick_succession_wake_two_single_job_workers() -> None:
    crew = Crew({"cpu": CPU})
    crew.hire(0, "cpu", idle=1)
    crew.hire(1, "cpu", idle=1)

    crew.slots.wake("mail", 1)
    crew.slots.wake("mail", 1)

    assert crew.take_wakeups() == [0, 1]


def test_a_worker_that_drains_is_neither_idle_nor_woken() -> None:
    crew = Crew()
    crew.hire(0, idle=25).words[STATE] = WorkerState.DRAINING

    woken = crew.slots.wake("mail", 1)

    assert woken == 0
    assert not crew.slots.has_idle()


def test_exactly_one_worker_is_warm_and_of_a_greenlet_pool() -> None:
    crew = Crew({"io": IO, "cpu": CPU})
    crew.hire(0, "cpu")
    crew.hire(1, "io")
    crew.hire(2, "io")

    assert [slot.words[WARM] for slot in crew.slots][:4] == [0, 1, 0, 0]


def test_the_warm_worker_stays_the_warm_one_until_it_is_gone() -> None:
    crew = Crew()
    crew.hire(2)
    crew.hire(0)
    before = [slot.words[WARM] for slot in crew.slots][:3]

    crew.slots[2].clear()
    crew.slots.choose_warm()

    assert before == [0, 0, 1]
    assert [slot.words[WARM] for slot in crew.slots][:3] == [1, 0, 0]


def test_a_process_pool_has_a_warm_worker_when_there_is_no_other() -> None:
    crew = Crew({"cpu": CPU})

    slot = crew.hire(3, "cpu")

    assert slot.words[WARM] == 1


def test_a_pool_without_queues_makes_the_host_serve_all() -> None:
    crew = Crew({"io": IO, "cpu": PoolSettings(queues=("numbers",))})

    assert crew.slots.queues() == ()
    assert crew.slots.serve("anything")


def test_a_host_serves_the_queues_of_its_pools_and_no_other() -> None:
    pools = {"a": PoolSettings(queues=("mail", "sync")), "b": PoolSettings(queues=("mail",))}
    crew = Crew(pools)

    assert crew.slots.queues() == ("mail", "sync")
    assert not crew.slots.serve("anything")


def test_jobs_that_require_a_version_wake_a_worker_whose_code_offers_it() -> None:
    crew = Crew()
    crew.hire(0, idle=25)
    write_offers(crew.hire(1, idle=25), {"v1"})
    write_offers(crew.hire(2, idle=25), {"v1", "v2"})

    woken = crew.slots.wake("mail@v2", 1)

    assert woken == 1
    assert crew.take_wakeups() == [2]


def test_jobs_that_require_no_version_wake_anybody() -> None:
    crew = Crew()
    crew.hire(0, idle=25)
    write_offers(crew.hire(1, idle=25), {"v1"})

    assert crew.slots.wake("mail", 50) == 2


def test_a_host_serves_a_version_as_long_as_a_worker_of_the_queue_offers_it() -> None:
    pools = {"mail": PoolSettings(queues=("mail",)), "sync": PoolSettings(queues=("sync",))}
    crew = Crew(pools)
    write_offers(crew.hire(0, "mail"), {"v2"})
    crew.hire(1, "sync")

    assert crew.slots.serve("mail@v2")
    assert not crew.slots.serve("mail@v3")
    assert not crew.slots.serve("sync@v2")
    assert crew.slots.offers() == {"v2"}

    crew.slots.set_workers({1: "sync"})

    assert not crew.slots.serve("mail@v2")
    assert crew.slots.offers() == frozenset()


def test_a_host_is_staffed_once_each_pool_has_a_worker_that_claims() -> None:
    crew = Crew({"io": IO, "cpu": CPU})
    crew.hire(0, "io")
    before = crew.slots.are_staffed()
    words = crew.hire(1, "cpu").words
    staffed = crew.slots.are_staffed()

    words[STATE] = WorkerState.STARTING

    assert (before, staffed, crew.slots.are_staffed()) == (False, True, False)


def test_jobs_in_the_hands_of_a_worker_are_seen() -> None:
    crew = Crew()
    words = crew.hire(5, idle=24).words
    before = crew.slots.has_jobs()

    words[IN_FLIGHT], words[IDLE] = 1, 24

    assert not before
    assert crew.slots.has_jobs()
