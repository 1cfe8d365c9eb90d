from __future__ import annotations

from typing import Any

import pytest

from taskd.board import GIVEN_BACK_LANE, QUARANTINE_LANE, Board, LaneTable
from taskd.board.lanes import FLOORS
from taskd.config.settings import PoolSettings
from taskd.pool.lane import PROBE_SECONDS, TRAIL_SECONDS
from taskd.pool.lanes import Choice, Lanes, Suspects

FULL = 2


class Desk:
    """A lane table, and a worker's view of it."""

    def __init__(self, *queues: str, offers: frozenset[str] = frozenset()) -> None:
        self.board = Board.create(slots=1, lanes=32)
        self.table = LaneTable(self.board)
        self.slot = self.board.slot(0)
        self.marks = self.slot.marks
        self.pool = PoolSettings(queues=queues)
        self.lanes = Lanes(self.table, self.slot, self.pool, offers)

    def choose(self, now: float = 0.0) -> Choice:
        choice = self.lanes.choose(FULL, now)
        assert choice is not None
        return choice

    def order(self, now: float = 0.0) -> list[tuple[str, int]]:
        return [(lane.queue, lane.number) for lane in self.choose(now).lanes]

    def claim(self, *seqs: int, wanted: int = FULL, now: float = 0.0) -> list[list[Any]]:
        """Claim as if the first lane had given jobs with these seqs."""
        rows: list[list[Any]] = [[seq, seq, 0, 1, 1, 1, None, "t", [], None] for seq in seqs]
        self.lanes.took(self.choose(now), rows, wanted, now)
        return rows

    def starts(self, now: float) -> list[int]:
        return [int(mark) for mark in self.choose(now).literals[2].strip("{}").split(",")]


def test_queues_are_claimed_in_the_order_of_the_pool_and_higher_lanes_first() -> None:
    desk = Desk("urgent", "default")
    for queue, number in [("default", 5), ("urgent", 5), ("default", 9), ("urgent", 0)]:
        desk.table.add(queue, number)

    order = desk.order()

    assert order == [("urgent", 5), ("urgent", 0), ("default", 9), ("default", 5)]


def test_what_was_given_back_goes_before_all_else_of_its_queue() -> None:
    desk = Desk("a")
    desk.table.add("a", 9)
    desk.table.add("a", GIVEN_BACK_LANE)

    assert desk.order()[0] == ("a", GIVEN_BACK_LANE)


def test_a_pool_of_all_queues_takes_them_in_turn_within_a_priority() -> None:
    desk = Desk()
    for queue in ("a", "b"):
        desk.table.add(queue, 5)

    turns = []
    for seq in range(1, 9, 2):
        turns += desk.order()[:1]
        desk.claim(seq, seq + 1)
    desk.table.add("c", 9)

    assert sorted(turns[:2]) == [("a", 5), ("b", 5)]
    assert turns[2:] == turns[:2]
    assert desk.order()[0] == ("c", 9)
    assert sorted(desk.order()[1:]) == [("a", 5), ("b", 5)]


def test_other_queues_than_the_pools_are_left_alone() -> None:
    desk = Desk("mine")
    desk.table.add("other", 5)

    assert desk.lanes.choose(FULL, 0.0) is None


def test_a_paused_lane_is_left_out_until_it_goes_on() -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)

    desk.table.set_paused(lane.index, True)
    paused = desk.lanes.choose(FULL, 0.0)
    desk.table.set_paused(lane.index, False)

    assert paused is None
    assert desk.order() == [("a", 5)]


def test_a_claim_starts_where_the_last_one_ended() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)

    desk.claim(7, 8)

    assert desk.starts(now=0.0) == [8]


def test_rows_learn_the_name_of_their_queue() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)

    rows = desk.claim(7, 8)

    assert [row[2] for row in rows] == ["a", "a"]


def test_a_dry_lane_is_left_out_for_a_moment_and_then_probed() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)

    desk.claim(7, now=1.0)

    assert desk.lanes.choose(FULL, 1.0 + PROBE_SECONDS / 2) is None
    assert desk.lanes.choose(FULL, 1.0 + PROBE_SECONDS) is not None


def test_a_call_probes_dry_lanes_at_once() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)
    desk.claim(now=1.0)

    desk.lanes.look_again()

    assert desk.lanes.choose(FULL, 1.0) is not None


def test_lanes_before_the_one_that_filled_a_claim_are_dry_and_those_behind_it_are_not() -> None:
    desk = Desk("a")
    for number in (9, 5, 1):
        desk.table.add("a", number)
    choice = desk.choose(1.0)
    rows: list[list[Any]] = [[1, 1, 1, 1, 1, 1, None, "t", [], None]]

    desk.lanes.took(choice, rows, 1, 1.0)

    assert desk.order(1.0) == [("a", 5), ("a", 1)]


def test_a_commit_a_little_late_is_found_behind_the_mark_once_the_lane_is_dry() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)
    desk.claim(4, 6, now=1.0)
    desk.claim(now=1.01)

    starts = desk.starts(now=1.01 + PROBE_SECONDS)

    assert starts[0] < 5


def test_a_mark_never_falls_when_something_behind_it_is_claimed() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)
    desk.claim(6, 7, now=1.0)
    desk.claim(now=1.01)

    desk.claim(5, now=1.01 + PROBE_SECONDS)

    assert desk.marks[0] == 7


def test_a_lane_that_stayed_dry_is_claimed_from_its_mark_again() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)
    desk.claim(6, 7, now=1.0)
    desk.claim(now=1.01)

    desk.claim(now=1.0 + TRAIL_SECONDS + PROBE_SECONDS)

    assert desk.starts(now=2.0) == [7]


def test_while_a_lane_yields_claims_do_not_look_behind_the_mark() -> None:
    desk = Desk("a")
    desk.table.add("a", 5)

    for step in range(10):
        desk.claim(2 * step + 1, 2 * step + 2, now=1.0 + step / 20)

    assert desk.starts(now=1.5) == [20]


def test_a_lowered_floor_lowers_the_mark() -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)
    desk.claim(50, 51)

    desk.table.lower_floor(lane.index, 20)

    assert desk.starts(now=0.0) == [19]


@pytest.mark.parametrize("others", [1, FLOORS - 2, FLOORS - 1, FLOORS, 5 * FLOORS])
def test_no_floor_is_forgotten_because_others_came_before_the_worker_looked(others: int) -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)
    desk.claim(50, 51)

    desk.table.lower_floor(lane.index, 20)
    for seq in range(others):
        desk.table.lower_floor(lane.index, 40 + seq)

    assert desk.starts(now=0.0)[0] <= 19


def test_what_the_last_worker_did_not_look_at_is_the_next_ones_to_find() -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)
    desk.claim(50, 51)

    desk.table.lower_floor(lane.index, 20)
    desk.lanes = Lanes(desk.table, desk.slot, desk.pool)

    assert desk.starts(now=0.0) == [19]


def test_a_lowered_floor_ends_dryness() -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)
    desk.claim(50, now=1.0)

    desk.table.lower_floor(lane.index, 20)

    assert desk.order(now=1.0) == [("a", 5)]


def test_a_floor_above_the_mark_changes_nothing() -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)
    desk.claim(50, 51, now=1.0)

    desk.table.lower_floor(lane.index, 90)

    assert desk.starts(now=1.0) == [51]


def test_a_new_worker_goes_on_from_the_marks_of_the_last_one() -> None:
    desk = Desk("a")
    lane = desk.table.add("a", 5)
    desk.table.lower_floor(lane.index, 3)
    desk.claim(50, 51)

    desk.lanes = Lanes(desk.table, desk.slot, desk.pool)

    assert desk.starts(now=0.0) == [51]


def test_a_lane_that_appears_later_is_claimed_from() -> None:
    desk = Desk()
    desk.table.add("a", 5)
    desk.choose()

    desk.table.add("b", 9)

    assert desk.order() == [("b", 9), ("a", 5)]


def test_what_requires_a_version_is_left_to_workers_whose_code_offers_it() -> None:
    old, new = Desk("a"), Desk("a", offers=frozenset({"v2", "v3"}))
    for desk in (old, new):
        for part in ("a", "a@v1", "a@v2", "b@v2"):
            desk.table.add(part, 5)

    assert [lane.part for lane in old.choose().lanes] == ["a"]
    assert {lane.part for lane in new.choose().lanes} == {"a", "a@v2"}


def test_a_pool_of_all_queues_leaves_other_versions_alone_too() -> None:
    desk = Desk(offers=frozenset({"v2"}))
    for part in ("a@v1", "b@v2"):
        desk.table.add(part, 5)

    assert [lane.part for lane in desk.choose().lanes] == ["b@v2"]


def test_a_part_has_the_place_of_its_queue_and_goes_in_turn_with_the_rest_of_it() -> None:
    desk = Desk("a", "b", offers=frozenset({"v2"}))
    for part, number in [("b@v2", 9), ("a", 5), ("a@v2", 5), ("a@v2", 0)]:
        desk.table.add(part, number)

    order = [(lane.part, lane.number) for lane in desk.choose().lanes]
    desk.claim(1, 2)
    turn = desk.choose().lanes[0].part

    assert sorted(order[:2]) == [("a", 5), ("a@v2", 5)]
    assert order[2:] == [("a@v2", 0), ("b@v2", 9)]
    assert turn == order[1][0]


def test_a_claim_asks_for_the_part_and_the_job_learns_its_queue() -> None:
    desk = Desk("a", offers=frozenset({"v2"}))
    desk.table.add("a@v2", 5)

    asked = desk.choose().literals[0]
    rows = desk.claim(7, 8)

    assert asked == '{"a@v2"}'
    assert [row[2] for row in rows] == ["a", "a"]


def test_who_looks_for_what_was_let_in_looks_for_no_suspects() -> None:
    desk = Desk("a")
    desk.table.add("a", QUARANTINE_LANE)
    choice = desk.lanes.choose(1, 0.0, Suspects.FIRST)
    assert choice is not None
    desk.lanes.took(choice, [], 1, 0.0)

    desk.lanes.look_again(for_suspects=False)

    assert not desk.lanes.may_find_suspects
    desk.lanes.look_again()
    assert desk.lanes.may_find_suspects
