from __future__ import annotations

import pytest

from taskd.board import LaneTable, write_offers
from taskd.config.settings import PoolSettings
from taskd.maintenance import wakeup
from taskd.maintenance.wakeup import LaneNews
from tests.crew import Crew

NEWS = LaneNews("mail", 5, seq=100, jobs=1)


def lanes(crew: Crew) -> LaneTable:
    return LaneTable(crew.board)


def test_an_unknown_lane_is_entered_and_a_worker_woken() -> None:
    crew = Crew()
    crew.hire(0, idle=25)

    crew.waker.jobs_wait(NEWS)

    assert [(lane.queue, lane.number) for lane in lanes(crew)] == [("mail", 5)]
    assert crew.take_wakeups() == [0]


def test_a_lane_that_no_pool_serves_takes_no_place() -> None:
    crew = Crew({"io": PoolSettings(queues=("sync",), greenlets=5)})
    crew.hire(0, idle=5)

    crew.waker.jobs_wait(NEWS)

    assert len(lanes(crew)) == 0
    assert crew.take_wakeups() == []


def test_a_lane_found_on_the_board_is_not_entered_twice() -> None:
    crew = Crew()
    crew.waker.jobs_wait(NEWS)

    wakeup.Waker(crew.board, crew.slots, crew.host.events).jobs_wait(NEWS)

    assert len(lanes(crew)) == 1


def test_a_commit_behind_a_mark_lowers_the_floor() -> None:
    crew = Crew()
    crew.waker.jobs_wait(NEWS)
    crew.slots[2].marks[0] = 150
    before = lanes(crew).read(0)

    crew.waker.jobs_wait(NEWS._replace(seq=120))

    lane = lanes(crew).read(0)
    assert (lane.floor, lane.epoch) == (120, before.epoch + 1)


def test_a_commit_ahead_of_all_marks_leaves_the_floor_alone() -> None:
    crew = Crew()
    crew.waker.jobs_wait(NEWS)
    crew.slots[2].marks[0] = 150
    before = lanes(crew).read(0)

    crew.waker.jobs_wait(NEWS._replace(seq=151))

    assert lanes(crew).read(0) == before


def test_jobs_of_a_paused_queue_wake_nobody() -> None:
    crew = Crew()
    crew.hire(0, idle=25)
    crew.waker.set_paused(frozenset({"mail"}))

    crew.waker.jobs_wait(NEWS)

    assert crew.take_wakeups() == []
    assert lanes(crew).read(0).paused


def test_a_queue_that_is_resumed_asks_for_a_look() -> None:
    crew = Crew()
    crew.waker.jobs_wait(NEWS)

    paused = crew.waker.set_paused(frozenset({"mail"}))
    resumed = crew.waker.set_paused(frozenset())

    assert (paused, resumed) == (False, True)
    assert not lanes(crew).read(0).paused


def test_a_part_that_no_worker_offers_takes_no_place_until_one_does() -> None:
    crew = Crew()
    slot = crew.hire(0, idle=25)
    news = NEWS._replace(queue="mail@v2")

    crew.waker.jobs_wait(news)
    before = (len(lanes(crew)), crew.take_wakeups())
    write_offers(slot, {"v2"})
    crew.waker.jobs_found(news._replace(jobs=None), crew.waker.marks())

    assert before == (0, [])
    assert [lane.queue for lane in lanes(crew)] == ["mail@v2"]
    assert crew.take_wakeups() == [0]


def test_a_pause_of_a_queue_holds_for_what_requires_a_version_in_it() -> None:
    crew = Crew()
    write_offers(crew.hire(0, idle=25), {"v2"})
    known, unknown = (NEWS._replace(queue="mail@v2", lane=lane) for lane in (5, 9))
    crew.waker.jobs_wait(known)
    crew.take_wakeups()

    crew.waker.set_paused(frozenset({"mail"}))
    crew.waker.jobs_wait(known)
    crew.waker.jobs_wait(unknown)

    assert all(lane.paused for lane in lanes(crew))
    assert len(lanes(crew)) == 2
    assert crew.take_wakeups() == []
    assert crew.waker.marks() == {}
    assert crew.waker.set_paused(frozenset())
    assert not any(lane.paused for lane in lanes(crew))


def test_what_a_look_finds_behind_the_marks_lowers_the_floor_and_wakes_all() -> None:
    crew = Crew()
    crew.hire(0, idle=25)
    crew.hire(1, idle=25)
    crew.waker.jobs_wait(NEWS._replace(jobs=0))
    crew.slots[0].marks[0] = 150

    crew.waker.jobs_found(LaneNews("mail", 5, 90, None), crew.waker.marks())

    assert lanes(crew).read(0).floor == 90
    assert crew.take_wakeups() == [0, 1]


def test_a_job_that_stays_behind_the_marks_is_returned_to_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(wakeup, "monotonic", lambda: now[0])
    crew = Crew()
    crew.waker.jobs_wait(NEWS)
    crew.slots[0].marks[0] = 150
    returned = []

    for second in range(100):
        now[0] = float(second)
        before = lanes(crew).read(0).epoch
        crew.waker.jobs_found(NEWS._replace(jobs=None), crew.waker.marks())
        if lanes(crew).read(0).epoch > before:
            returned.append(second)

    assert returned == [0, 1, 3, 7, 15, 31, 63]


def test_a_table_without_room_is_told_once_a_queue() -> None:
    crew = Crew(lanes=1)
    crew.waker.jobs_wait(NEWS)

    for _ in range(3):
        crew.waker.jobs_wait(LaneNews("sync", 5, 7, 1))

    (story,) = crew.stories()
    assert "queue 'sync' is not served: no place on the board" in story
