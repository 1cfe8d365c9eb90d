"""The C library's allocator: what it has handed out, and giving back to the kernel what it has not.

A library that is not glibc (or one before 2.33, of trimming alone) tells 0 and does nothing.
"""

from __future__ import annotations

import ctypes


class _MallInfo(ctypes.Structure):
    """What mallinfo2 returns, in the order of malloc.h."""

    _fields_ = [
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    ]


_LARGEST, _SMALLEST = 64 * 1024, 24
_MOST_BYTES = 8 * 1024 * 1024

_library = ctypes.CDLL(None)
_trims, tells = hasattr(_library, "malloc_trim"), hasattr(_library, "mallinfo2")
if tells:
    _library.mallinfo2.restype = _MallInfo
    _library.malloc.restype = _library.sbrk.restype = ctypes.c_void_p
    _library.malloc.argtypes = [ctypes.c_size_t]
    _library.free.argtypes = [ctypes.c_void_p]
    _library.sbrk.argtypes = [ctypes.c_ssize_t]
_taken = 0


def handed_out() -> int:
    """The bytes in use, those of large blocks included; it walks over every free piece.

    What `take_free_pieces` has taken is in use by nobody.
    """
    if not tells:
        return 0
    info = _library.mallinfo2()
    return int(info.uordblks + info.hblkhd) - _taken


def trim() -> None:
    """Give free pages back to the kernel."""
    if _trims:
        _library.malloc_trim(0)


def take_free_pieces() -> None:
    """Take for good what is free between blocks in use: what comes later lies behind them all.

    From large to small, as a piece that is asked for less than it has is split. 8 MiB at most:
    where there is more, the holes are large, and few of their pages have something on them.
    """
    global _taken
    if not tells:
        return
    end = _library.sbrk(0)
    info = _library.mallinfo2()
    begin, behind_all = end - info.arena, end - info.keepcost
    most = _taken + _MOST_BYTES
    size = _LARGEST
    while size >= _SMALLEST and _taken < most:
        block = _library.malloc(size)
        if block is not None and begin <= block < behind_all:
            _taken += size
        else:
            _library.free(block)
            size -= max(size // 16, 8)
