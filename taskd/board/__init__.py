"""The board: shared memory through which master, workers and maintenance see each other.

Nothing is sent and nobody waits: each word has one writer, and whoever wants to know reads. So
there is no pipe between master and workers that could fill up or deadlock, and a worker that is
stuck can still be seen. An eventfd a slot only says "look".

    header  | lane 0 … lane L-1 | slot 0 … slot S-1
    ------    -----------------   -----------------
    master    maintenance         one worker each, which also keeps its low-water marks there:
    writes    writes              they outlive it, and its successor goes on from them, as from
                                  its account of which lane has waited and which queue is due
"""

from taskd.board.lanes import (
    GIVEN_BACK_LANE,
    HOLDERS_FROM,
    QUARANTINE_LANE,
    Lane,
    LaneTable,
    LaneTableFull,
    priority_of,
)
from taskd.board.layout import Board, BoardMismatch, Slot, SlotReading, Why, WorkerState
from taskd.board.memory import SlotMemory, read_memory, write_memory
from taskd.board.offers import OffersTooLong, read_offers, write_offers
from taskd.board.seating import Seating
from taskd.board.sheet import Sheet
from taskd.board.wakeups import Wakeups

__all__ = [
    "GIVEN_BACK_LANE",
    "HOLDERS_FROM",
    "QUARANTINE_LANE",
    "Board",
    "BoardMismatch",
    "Lane",
    "LaneTable",
    "LaneTableFull",
    "OffersTooLong",
    "Seating",
    "Sheet",
    "Slot",
    "SlotMemory",
    "SlotReading",
    "Wakeups",
    "Why",
    "WorkerState",
    "priority_of",
    "read_memory",
    "read_offers",
    "write_memory",
    "write_offers",
]
