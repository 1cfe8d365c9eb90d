from __future__ import annotations

import pytest

from taskd.board import Board, OffersTooLong, read_offers, write_offers


def test_what_a_worker_offers_can_be_read_by_others() -> None:
    board = Board.create(slots=2, lanes=4)

    write_offers(board.slot(1), {"v2", "2026-03-01"})

    assert read_offers(Board.attach(board.fd).slot(1)) == {"v2", "2026-03-01"}
    assert read_offers(board.slot(0)) == frozenset()


def test_a_cleared_slot_offers_nothing() -> None:
    slot = Board.create(slots=1, lanes=4).slot(0)
    write_offers(slot, {"v2"})

    slot.clear()

    assert read_offers(slot) == frozenset()


def test_offers_leave_fields_and_marks_alone() -> None:
    board = Board.create(slots=3, lanes=4)

    write_offers(board.slot(1), [f"version-{number:>020}" for number in range(35)])

    for slot in map(board.slot, range(3)):
        assert not any(slot.words)
        assert not any([*slot.marks, *slot.looks, *slot.shares])


def test_more_than_a_slot_holds_is_refused_with_a_remedy() -> None:
    slot = Board.create(slots=1, lanes=4).slot(0)

    with pytest.raises(OffersTooLong, match=r"offers 100 versions.*take requires=… out of tasks"):
        write_offers(slot, [f"version-{number}" for number in range(100)])
