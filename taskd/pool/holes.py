"""Filling the holes between frozen objects, so that a fork's own objects lie on pages of their own.

What is larger than 512 bytes, the C library allocates (`taskd.malloc`). Below that,
Python's allocator takes blocks of one size from pools of 16 KiB, from those first that have been
started. Imports leave free blocks behind on many pages; each that a child fills copies a page of
4 KiB for an object of 100 bytes. A few hundred KiB of blocks that are never used again cost less.
"""

from __future__ import annotations

import sys

from taskd import malloc

_STEP, _LARGEST = 16, 512
_POOL_BYTES, _POOL_HEADER = 16384, 48
_RUN = 4
"""So many blocks in a row, from the start of a pool on, and it is taken for a new one."""

_MOST_BYTES = 128 * 1024
"""No more than this is taken of one size, should the allocator be another one."""

_fillers: list[bytes] = []


def fill_holes() -> None:
    """Take the free blocks of the pools that have been started, and the C library's, for good.

    Python's of 48 bytes and more, and at most 128 KiB of each size; smaller ones are numbers, and
    soon gone.
    """
    header = sys.getsizeof(b"")
    smallest = -(-header // _STEP) * _STEP
    for size in range(smallest, _LARGEST + 1, _STEP):
        _fillers.extend(_blocks_in_started_pools(size, size - header))
    malloc.take_free_pieces()


def _blocks_in_started_pools(size: int, length: int) -> list[bytes]:
    blocks: list[bytes] = []
    run, expected = 0, -1
    while run < _RUN and len(blocks) < _MOST_BYTES // size:
        block = bytes(length)
        blocks.append(block)
        address = id(block)
        if address % _POOL_BYTES == _POOL_HEADER:
            run = 1
        else:
            run = run + 1 if run and address == expected else 0
        expected = address + size
    return blocks[: len(blocks) - run]
