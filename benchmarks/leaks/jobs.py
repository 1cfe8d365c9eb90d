"""What the jobs do: each makes noise, and one of the five tasks may leak."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable

from benchmarks.leaks.loads import Load

LEAKING_TASK = 2
LEAK_PIECES = 10


class NoisyJobs:
    """The jobs of one process, and what they leave behind; in `pause` others have their turn."""

    def __init__(
        self, load: Load, chance: random.Random, leak: int, pause: Callable[[], object]
    ) -> None:
        self._load, self._chance, self._leak, self._pause = load, chance, leak, pause
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._ring: deque[bytes] = deque(maxlen=load.ring)
        self._kept: list[list[bytes]] = []

    def run(self, task: int) -> None:
        """Hold a buffer and small objects over some switches; touch the cache; leak."""
        chance, load = self._chance, self._load
        buffer = bytearray(min(int(chance.lognormvariate(10.5 + task / 4, 0.8)), 4_000_000))
        self._pause()
        small = [bytes(chance.randrange(60, 2000)) for _ in range(10 + 40 * task)]
        self._pause()
        self._touch(chance.randrange(load.keys))
        self._ring.append(small[chance.randrange(len(small))])  # outlives the rest: holes
        if chance.random() < load.spikes:
            spike = [bytes(chance.randrange(300, 3000)) for _ in range(8000)]
            self._pause()
            del spike
        if task == LEAKING_TASK and self._leak:
            self._kept.append(pieces(self._leak))
        self._pause()
        del buffer

    def _touch(self, key: int) -> None:
        if key in self._cache:
            self._cache.move_to_end(key)
            return
        self._cache[key] = bytes(self._chance.randrange(2000, 7000))
        if len(self._cache) > self._load.cache:
            self._cache.popitem(last=False)


def pieces(size: int) -> list[bytes]:
    """What one job of the task that leaks leaves behind: so many bytes, and what lists cost."""
    return [bytes(size // LEAK_PIECES) for _ in range(LEAK_PIECES)]
