"""The holes that imports leave in Python's memory are filled before a fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

FILL = """
import sys
from taskd.pool.holes import fill_holes

length = int(sys.argv[1])
old = [bytes(length) for _ in range(600)]
del old[::3]
pools = {id(block) // 16384 for block in old}

fill_holes()

new = [bytes(length) for _ in range(100)]
print(sum(id(block) // 16384 in pools for block in new))
"""


@pytest.mark.parametrize("length", [10, 60, 400])
def test_new_objects_lie_in_pools_of_their_own(length: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FILL, str(length)], capture_output=True, text=True, check=True
    )

    assert int(told.stdout) < 5  # what the filling itself has freed at its end may be used again


def test_another_allocator_is_not_asked_for_much() -> None:
    measure = "print(sum(map(sys.getsizeof, holes._fillers)))"
    code = f"import sys\nfrom taskd.pool import holes\nholes.fill_holes()\n{measure}"

    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONMALLOC": "malloc"},
    )

    assert 0 < int(told.stdout) < 5_000_000
