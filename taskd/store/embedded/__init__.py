"""A PostgreSQL of our own, for whoever has configured none.

    <state_dir>/postgres/
        data/          the database cluster
        run/           its unix socket, 0700
        users.lock     every user of the server holds a shared lock: `hold`
        start.lock     one at a time looks whether the server runs, and starts it
        keeper.lock    held by the keeper
        log            what PostgreSQL and the keeper say

Several daemons and programs share the server, so none of them owns it. A small detached process,
the *keeper*, starts it, restarts it when it crashes, and stops it some seconds after the last
user has gone.
"""

from taskd.store.embedded.server import Server, ensure_server
from taskd.store.embedded.users import Hold, hold

__all__ = ["Hold", "Server", "ensure_server", "hold"]
