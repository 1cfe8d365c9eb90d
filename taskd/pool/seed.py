"""The bare interpreter from which the master's other processes are forked.

    python -m taskd.pool.seed greenlet|process FD        FD: a memfd with its birth as JSON

A greenlet seed lets gevent patch as its very first act, before anything can import psycopg, which
chooses its wait function when it is imported. What follows stands in `taskd.pool.seeding`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Patch if this is to be a greenlet seed, and only then import and run the rest."""
    # A user's `queue.py` in the current directory must not stand in for Python's; their modules
    # are searched there again once the runtime is imported.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    kind, fd = arguments
    if kind == "greenlet":
        from gevent import monkey

        monkey.patch_all()
    from taskd.pool.seeding import Kind, run_seed

    return run_seed(Kind(kind), int(fd))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
