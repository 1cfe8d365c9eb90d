"""The ladder, rung by rung: how a running job is ended, and who is charged."""

from __future__ import annotations

from dataclasses import replace

from taskd.board import Why
from taskd.supervisor.actions import Action, Ask, Break, Dump, Kill, Report, Warn
from taskd.supervisor.ladder import HubView, ToldView
from taskd.supervisor.plan import Urgency
from tests.unit.planning import NOW, plan, pool, worker

# -- jobs of process workers ----------------------------------------------------------------------


def test_a_job_over_its_time_is_warned_once_for_each_attempt() -> None:
    over = worker(0, deadline=NOW - 0.1, job=7, attempt=3)

    assert plan(pool(1), over) == [Warn(0, 7, 3)]
    assert plan(pool(1), replace(over, warned=3, warned_at=NOW - 1)) == []
    assert plan(pool(1), replace(over, attempt=4, warned=3)) == [Warn(0, 7, 4)]


def test_a_job_that_ignores_its_warning_is_looked_at_then_its_worker_killed() -> None:
    over = worker(0, deadline=NOW - 9, job=7, attempt=3, warned=3, warned_at=NOW - 5)

    assert plan(pool(1), over) == [Dump(0, 7)]
    assert plan(pool(1), replace(over, dumped=7, dumped_at=NOW - 0.1)) == []
    assert plan(pool(1), replace(over, dumped=7, dumped_at=NOW - 0.3)) == [
        Kill(0, "job 7 ran over its timeout and did not end", culprit=7, why=Why.TIMEOUT)
    ]


def test_a_dump_of_long_ago_is_no_dump() -> None:
    over = worker(0, deadline=NOW - 9, job=7, attempt=3, warned=3, warned_at=NOW - 5)

    assert plan(pool(1), replace(over, dumped=7, dumped_at=NOW - 60)) == [Dump(0, 7)]
    assert plan(pool(1), replace(over, dumped=6, dumped_at=NOW - 0.3)) == [Dump(0, 7)]


def test_a_cancelled_process_job_has_its_grace_and_no_warning_about_its_time() -> None:
    cancelled = worker(0, job=7, attempt=3, deadline=NOW - 1, cancelled_at=NOW - 4)

    assert plan(pool(1), cancelled) == []
    assert plan(pool(1), replace(cancelled, cancelled_at=NOW - 5)) == [Dump(0, 7)]
    (kill,) = plan(pool(1), replace(cancelled, cancelled_at=NOW - 6, dumped=7, dumped_at=NOW - 1))
    assert kill == Kill(0, "job 7 was cancelled and did not end", culprit=7, why=Why.CANCEL)


def test_a_job_over_its_time_is_warned_also_while_its_worker_drains() -> None:
    over = worker(0, drained_at=NOW - 1, deadline=NOW - 0.1, job=7, attempt=3)

    assert plan(pool(1), over, urgency=Urgency.DRAIN) == [Warn(0, 7, 3)]


# -- jobs of greenlet workers that were told to end -----------------------------------------------

TOLD = ToldView(job=7, why=Why.TIMEOUT, at=NOW - 5)


def test_a_greenlet_job_that_swallows_its_timeout_ends_with_its_worker() -> None:
    stubborn = worker(0, told=TOLD)

    assert plan(pool(1), worker(0, told=replace(TOLD, at=NOW - 4.9))) == []
    assert plan(pool(1), stubborn) == [Dump(0, 7)]
    assert plan(pool(1), replace(stubborn, dumped=7, dumped_at=NOW - 0.3)) == [
        Kill(0, "job 7 ran over its timeout and did not end", culprit=7, why=Why.TIMEOUT)
    ]


def test_without_any_grace_a_job_has_as_long_as_the_board_may_be_behind() -> None:
    told = replace(TOLD, at=NOW - 0.2)

    assert plan(pool(1, kill_grace=0), worker(0, told=told)) == []
    assert plan(pool(1, kill_grace=0), worker(0, told=replace(told, at=NOW - 0.3))) == [Dump(0, 7)]


def test_what_the_board_says_of_a_told_job_is_old_while_another_blocks_the_hub() -> None:
    blocked = worker(0, told=TOLD, hub=known(1, hog=8))

    assert plan(pool(1), blocked) == []


def test_a_told_job_that_blocks_the_hub_itself_is_killed_for_it() -> None:
    blocked = worker(0, told=TOLD, hub=known(1))

    assert plan(pool(1), blocked) == [Dump(0, 7)]


def test_a_worker_that_is_killed_for_being_late_is_not_killed_for_its_job_too() -> None:
    late = worker(0, drained_at=NOW - 60, interrupted_at=NOW - 9, told=TOLD)

    assert plan(pool(1), late, urgency=Urgency.DRAIN) == [
        Kill(0, "did not end although it was interrupted")
    ]


# -- hubs that stand still ------------------------------------------------------------------------

HOURS = {"hub_warn": 1.0, "hub_break": 30.0, "hub_kill": 60.0}


def still(stands: float, **fields: object) -> HubView:
    """A hub that stands still because somebody computes, unless told otherwise."""
    return HubView(stands=stands, **fields)  # type: ignore[arg-type]


def about(hub: HubView, **fields: object) -> list[Action]:
    return plan(pool(1, **HOURS), worker(0, hub=hub, **fields))


def known(stands: float, **fields: object) -> HubView:
    """A hub whose hog, job 7, was asked half a second ago and is known, and was told of."""
    usual = {"hog": 7, "asked_at": NOW - 0.5, "answered": True, "reported": True}
    return still(stands, **{**usual, **fields})


def test_a_hub_that_turns_is_left_alone() -> None:
    assert plan(pool(1, **HOURS), worker(0)) == []


def test_who_computes_is_asked_in_time_for_the_warning() -> None:
    assert about(still(0.4)) == []
    assert about(still(0.5)) == [Ask(0)]


def test_who_does_not_answer_in_python_is_asked_in_c_once() -> None:
    assert about(still(0.8, asked_at=NOW - 0.2)) == []
    assert about(still(0.8, asked_at=NOW - 0.3)) == [Ask(0, in_c=True)]
    assert about(still(0.9, asked_at=NOW - 0.4, asked_c_at=NOW - 0.1)) == []


def test_a_hub_that_goes_on_standing_is_asked_again_every_second() -> None:
    assert about(known(5, asked_at=NOW - 0.9)) == []
    assert about(known(5, asked_at=NOW - 1)) == [Ask(0)]


def test_a_block_is_told_when_it_is_long_enough_and_known_whose_it_is() -> None:
    assert about(known(0.9, reported=False)) == []
    assert about(known(1.1, reported=False)) == [Report(0, 1.1)]
    assert about(known(1.1, reported=False, answered=False, asked_c_at=NOW)) == []
    assert about(known(1.1)) == []


def test_a_block_whose_author_cannot_be_found_out_is_told_all_the_same() -> None:
    unknown = still(2.1, asked_at=NOW - 0.9, asked_c_at=NOW - 0.5)

    assert about(unknown) == [Report(0, 2.1)]


def test_a_block_that_has_ended_by_itself_is_told_too() -> None:
    assert about(known(1.2, reported=False, is_over=True)) == [Report(0, 1.2, is_over=True)]
    assert about(known(0.9, reported=False, is_over=True)) == []


def test_the_end_of_a_long_block_that_was_told_is_told() -> None:
    assert about(known(9.0, is_over=True)) == [Report(0, 9.0, is_over=True)]
    assert about(known(1.2, is_over=True)) == []


def test_a_hog_is_broken_once() -> None:
    assert about(known(29)) == []
    assert about(known(31)) == [Break(0, 7, Why.HOG)]
    assert about(known(31, broken_at=NOW - 0.1)) == []


def test_a_hog_in_c_goes_on_until_hub_kill_although_its_grace_is_over() -> None:
    assert about(known(59, broken_at=NOW - 29)) == []
    assert about(known(61, broken_at=NOW - 31)) == [Dump(0, 7)]
    assert about(known(61, broken_at=NOW - 31), dumped=7, dumped_at=NOW - 0.3) == [
        Kill(0, "job 7 let no other job run", culprit=7, why=Why.HOG)
    ]


def test_when_nobody_is_to_blame_all_of_them_share_it() -> None:
    (kill,) = about(known(61, hog=0), dumped=0, dumped_at=NOW - 0.3)

    assert kill == Kill(
        0, "something that is no job of its own let no other job run", charge=True, why=Why.HOG
    )


def test_a_hub_that_stands_while_its_worker_burns_nothing_is_no_hog() -> None:
    assert about(still(100, burns=False)) == []
    assert about(known(100, burns=False, reported=False)) == []


def test_a_job_that_blocks_and_is_over_its_own_timeout_is_broken_at_once() -> None:
    assert about(known(0.5, over=Why.TIMEOUT)) == [Break(0, 7, Why.TIMEOUT)]
    assert about(known(0.5, over=Why.CANCEL)) == [Break(0, 7, Why.CANCEL)]


def test_that_also_holds_for_one_that_waits_and_burns_nothing() -> None:
    waits = known(0.5, over=Why.TIMEOUT, burns=False)

    assert about(waits) == [Break(0, 7, Why.TIMEOUT)]
    assert about(replace(waits, broken_at=NOW - 4.9)) == []
    assert about(replace(waits, broken_at=NOW - 5)) == [Dump(0, 7)]


def test_a_stopped_worker_answers_nothing_and_is_not_killed() -> None:
    stopped = known(20, over=Why.TIMEOUT, burns=False, broken_at=NOW - 9, answered=False)

    assert Dump(0, 7) not in about(replace(stopped, asked_c_at=NOW))


def test_some_job_over_its_time_is_reason_to_ask_though_nothing_burns() -> None:
    assert about(still(0.2, burns=False, has_due=True)) == []
    assert about(still(0.3, burns=False, has_due=True)) == [Ask(0)]


def test_another_job_over_its_time_is_none_to_end_the_hog() -> None:
    assert about(known(5, has_due=True)) == []


def test_hubs_are_judged_also_while_the_daemon_stops() -> None:
    actions = plan(
        pool(1, **HOURS),
        worker(0, drained_at=NOW - 1, hub=known(31)),
        urgency=Urgency.DRAIN,
    )

    assert actions == [Break(0, 7, Why.HOG)]
