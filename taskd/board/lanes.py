"""The lanes that this host knows, with the floor from which each is to be claimed.

Maintenance alone writes. It learns of lanes from notifications and from its rescans; a lane, once
known, keeps its index for the life of the master. When something turns up behind the claimers'
low-water marks (a transaction that committed late, a claim that was rolled back), maintenance
lowers the lane's floor and counts its epoch up; claimers who see a new epoch lower their mark.

    commit order     seq 5 ............ commits late
                     seq 6 commits, is claimed: mark = 6
                                        notification says seq 5: floor = 5, epoch + 1
                     claimer: epoch changed, mark = min(mark, floor - 1) = 4: seq 5 is found

A claimer may be slow to look, so a floor stays for the FLOORS - 1 epochs after its own, each in its
place of a ring. A claimer that is further behind begins at the front of the lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskd.board.layout import LANE_COUNT, LANE_EPOCH, LANE_WORDS, Board
from taskd.errors import TaskdError

GIVEN_BACK_LANE = 10
"""The lane of jobs that were given back: claimed before all others of their queue."""

QUARANTINE_LANE = 11
"""The lane of suspects, under which workers have died: each is claimed to run alone in a worker."""

HOLDERS_FROM = 20
"""From here on lanes are of jobs that hold what they asked for, each so far above its priority."""

FLOORS = 8
_EPOCH, _LANE, _PAUSED, _NAME_BYTES, _FLOORS, _NAME = 0, 1, 2, 3, 4, 4 + FLOORS
_NAME_LIMIT = (LANE_WORDS - _NAME) * 8


def priority_of(number: int) -> int:
    """By what a lane goes before others: the priority of its jobs, or what stands for it."""
    return number - HOLDERS_FROM if number >= HOLDERS_FROM else number


class LaneTableFull(TaskdError):
    """More lanes were seen since the start than a board holds.

    Queues x priorities, and twice that where jobs hold resources.
    Lanes are never freed: use fewer queues, and restart the daemon to forget those of old ones.
    """


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane as it stood when read; `floors` is the ring."""

    index: int
    queue: str
    number: int
    floors: tuple[int, ...]
    epoch: int
    paused: bool

    @property
    def floor(self) -> int:
        """Where something has turned up last."""
        return self.floors[self.epoch % FLOORS]

    def floor_since(self, epoch: int) -> int:
        """The lowest floor of all since an epoch; 0 if that is too long ago to tell.

        The place of the epoch that follows may be being written to, so it does not count.
        """
        if self.epoch - epoch >= FLOORS:
            return 0
        return min(self.floors[one % FLOORS] for one in range(epoch + 1, self.epoch + 1))


class LaneTable:
    """The lanes of a board. Any process may read; only maintenance may write."""

    def __init__(self, board: Board) -> None:
        self._board = board

    @property
    def epoch(self) -> int:
        """Counts up with every change of any lane: read the lanes again when it has changed."""
        return self._board.words[LANE_EPOCH]

    def __len__(self) -> int:
        return self._board.words[LANE_COUNT]

    def __iter__(self) -> Iterator[Lane]:
        return (self.read(index) for index in range(len(self)))

    def read(self, index: int) -> Lane:
        """One lane, by its index."""
        w = self._board.lane_words(index)
        name = w[_NAME:].tobytes()[: w[_NAME_BYTES]].decode()
        floors, epoch = _read_floors(w)
        return Lane(index, name, w[_LANE], floors, epoch, bool(w[_PAUSED]))

    def add(self, queue: str, number: int) -> Lane:
        """Enter a lane that is not in the table yet.

        Raises LaneTableFull when no place is left or the queue's name is too long for one.
        """
        index = len(self)
        name = queue.encode()
        if index >= self._board.lanes or len(name) > _NAME_LIMIT:
            raise LaneTableFull(
                f"no place on the board for lane {number} of queue {queue!r}: "
                f"it holds {self._board.lanes} lanes of names up to {_NAME_LIMIT} bytes, "
                "and forgets none until the daemon is restarted"
            )
        w = self._board.lane_words(index)
        padded = memoryview(name.ljust(_NAME_LIMIT, b"\0")).cast("Q")
        w[_NAME:] = padded
        w[_NAME_BYTES], w[_LANE] = len(name), number
        self._board.words[LANE_COUNT] = index + 1  # only now can a reader see it, complete
        self._changed()
        return self.read(index)

    def lower_floor(self, index: int, seq: int) -> None:
        """Something waits at `seq`, which may lie behind marks: let claimers look from there."""
        w = self._board.lane_words(index)
        epoch = w[_EPOCH] + 1
        w[_FLOORS + epoch % FLOORS] = seq
        w[_EPOCH] = epoch  # only now does it count
        self._changed()

    def set_paused(self, index: int, paused: bool) -> None:
        """Let claimers leave a lane alone, or take it up again."""
        w = self._board.lane_words(index)
        if bool(w[_PAUSED]) != paused:
            w[_PAUSED] = paused
            self._changed()

    def _changed(self) -> None:
        self._board.words[LANE_EPOCH] += 1


def _read_floors(w: memoryview) -> tuple[tuple[int, ...], int]:
    """The ring and the epoch that it belongs to."""
    while True:
        epoch = w[_EPOCH]
        floors = tuple(w[_FLOORS:_NAME])
        if w[_EPOCH] == epoch:
            return floors, epoch
