"""The program of the keeper's process: leave whoever started it behind, then be the keeper.

Run by its path, in an interpreter without site-packages and PYTHONPATH (`-I -S`), so it finds taskd
by where it lies itself.
"""

import os
import sys

KEPT_FDS = 5
"""Standard input, output and error, the lock and the outcome pipe (orders.py)."""


def leave() -> None:
    """Go on as an orphan: no terminal, no parent, no descriptor of the process that started this.

    An inherited descriptor could be another program's lock or socket, held for as long as the
    keeper lives.
    """
    os.closerange(KEPT_FDS, os.sysconf("SC_OPEN_MAX"))
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    for fd in range(3, KEPT_FDS):
        os.set_inheritable(fd, False)
    with open("/proc/self/comm", "w") as name:
        name.write("taskd-keeper")


if __name__ == "__main__":
    leave()
    path = os.path.abspath(__file__)
    for _ in ("embedded", "store", "taskd", ""):
        path = os.path.dirname(path)
    sys.path.append(path)

    from taskd.store.embedded.keeper import main

    sys.exit(main(sys.argv[1:]))
