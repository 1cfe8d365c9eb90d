"""Who attaches a board sees what the master made, whatever has become of the file behind it."""

from __future__ import annotations

import os

import pytest

from taskd.board import Board
from taskd.board.layout import BoardMismatch


def test_a_board_is_attached_whose_file_has_grown_by_a_part_of_a_word() -> None:
    board = Board.create(slots=2, lanes=3)
    board.slot(1).words[0] = 17
    os.pwrite(board.fd, b"odd", os.fstat(board.fd).st_size)

    attached = Board.attach(board.fd)

    assert attached.slot(1).words[0] == 17
    assert (attached.slots, attached.lanes) == (2, 3)


def test_who_attaches_maps_the_words_alone_and_no_last_words() -> None:
    board = Board.create(slots=2, lanes=3)

    assert len(Board.attach(board.fd).words) == len(board.words)


def test_a_board_of_another_layout_is_not_attached() -> None:
    board = Board.create(slots=1, lanes=1)
    board.words[1] += 1

    with pytest.raises(BoardMismatch, match="restart the daemon"):
        Board.attach(board.fd)
