"""What a worker leaves for the case that it crashes; in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from taskd.board import Board
from taskd.board.last_words import take_last_words

LEAVING = """
import ctypes, sys
from types import SimpleNamespace
from taskd.board import Board
from taskd.pool.crash import leave_last_words
leave_last_words(SimpleNamespace(board=Board.attach(int(sys.argv[1])), slot=1))
if "crash" in sys.argv:
    ctypes.string_at(0)
"""
STALE = b"Fatal Python error: what another has said, who is gone"


def leave(board: Board, *arguments: str, options: tuple[str, ...] = ()) -> int:
    """Be a worker in slot 1; how it ended."""
    command = [sys.executable, *options, "-c", LEAVING, str(board.fd), *arguments]
    return subprocess.run(command, pass_fds=[board.fd], stderr=subprocess.PIPE).returncode


def board_with_stale_words() -> Board:
    board = Board.create(slots=3, lanes=1)
    for slot in range(board.slots):
        os.pwrite(board.fd, STALE, board.last_words_at(slot))
    return board


def test_a_worker_begins_without_the_last_words_of_another_in_its_slot_alone() -> None:
    board = board_with_stale_words()

    assert leave(board) == 0

    words = [take_last_words(board, slot) for slot in range(board.slots)]
    assert words == [STALE.decode(), "", STALE.decode()]


def test_it_begins_so_also_if_another_handler_keeps_it_from_leaving_its_own() -> None:
    board = board_with_stale_words()

    assert leave(board, "crash", options=("-X", "faulthandler")) == -signal.SIGSEGV

    assert take_last_words(board, 1) == ""


def test_a_crash_leaves_words_in_the_slot_of_the_worker_once() -> None:
    board = Board.create(slots=3, lanes=1)

    assert leave(board, "crash") == -signal.SIGSEGV

    assert take_last_words(board, 1).startswith("Fatal Python error: Segmentation fault\n")
    assert [take_last_words(board, slot) for slot in range(board.slots)] == [""] * 3
