"""The bare interpreter from which the master's other processes are forked.

    python -m taskd.pool.seed greenlet|process FD        FD: a memfd with its birth as JSON

A greenlet seed lets gevent patch as its very first act, before anything can import psycopg, which
chooses its wait function when it is imported. What follows stands in `taskd.pool.seeding`. All jobs
of a killed daemon wait for this, so it is to be quick.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

SELDOM = 20_000
"""New objects between two collections."""


def main(arguments: Sequence[str]) -> int:
    """Patch if this is to be a greenlet seed, and only then import and run the rest."""
    usual = spare_collections()
    # A user's `queue.py` in the current directory must not stand in for Python's; their modules
    # are searched there again once the runtime is imported.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    kind, fd = arguments
    if kind == "greenlet":
        patch()
    from taskd.pool.seeding import Kind, run_seed

    return run_seed(Kind(kind), int(fd), usual)


def spare_collections() -> tuple[int, int, int]:
    """Collect seldom while we import, as nearly all of it stays; what was usual before.

    Never would cost every daemon 3 MiB: each class with `slots=True` is made twice, and the first
    of the two is garbage on pages that what stays could have had.
    """
    usual = gc.get_threshold()
    gc.set_threshold(SELDOM, *usual[1:])
    return usual


def patch() -> None:
    """Let gevent patch the standard library.

    It asks for its plugins 25 times, and each time importlib reads the metadata of every package
    that is installed; so this answers from what was read once.
    """
    from importlib import metadata

    from gevent import monkey

    ask, found = metadata.entry_points, metadata.entry_points()
    metadata.entry_points = found.select
    try:
        monkey.patch_all()
    finally:
        metadata.entry_points = ask


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
