"""The C library's allocator: what it has handed out, and giving back to the kernel what it has not.

A library that is not glibc tells 0 and gives nothing back.
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
_MOST_PIECES = 100_000

_library = ctypes.CDLL(None)
_is_glibc = hasattr(_library, "mallinfo2") and hasattr(_library, "malloc_trim")
if _is_glibc:
    _library.mallinfo2.restype = _MallInfo
    _library.malloc.restype = _library.sbrk.restype = ctypes.c_void_p
    _library.malloc.argtypes = [ctypes.c_size_t]
    _library.free.argtypes = [ctypes.c_void_p]
    _library.sbrk.argtypes = [ctypes.c_ssize_t]


def handed_out() -> int:
    """The bytes in use, those of large blocks included; it walks over every free piece."""
    if not _is_glibc:
        return 0
    info = _library.mallinfo2()
    return int(info.uordblks + info.hblkhd)


def trim() -> None:
    """Give free pages back to the kernel."""
    if _is_glibc:
        _library.malloc_trim(0)


def take_free_pieces() -> None:
    """Take for good what is free between blocks in use: what comes later lies behind them all.

    From large to small, as a piece that is asked for less than it has is split.
    """
    if not _is_glibc:
        return
    behind_all = _library.sbrk(0) - _library.mallinfo2().keepcost
    size = _LARGEST
    for _ in range(_MOST_PIECES):
        block = _library.malloc(size)
        if block is None or block >= behind_all:
            _library.free(block)
            size -= max(size // 16, 8)
            if size < _SMALLEST:
                return
