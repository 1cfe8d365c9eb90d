"""What is free between blocks in use is taken before a fork."""

from __future__ import annotations

import subprocess
import sys

TAKE = """
import ctypes
from taskd import malloc

library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
old = [library.malloc(3000) for _ in range(200)]
for block in old[::2]:
    library.free(block)

malloc.take_free_pieces()

new = [library.malloc(3000) for _ in range(50)]
print(sum(min(old) <= block <= max(old) for block in new), len(new))
"""


def test_new_blocks_lie_behind_all_that_are_in_use() -> None:
    told = subprocess.run([sys.executable, "-c", TAKE], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["0", "50"]
