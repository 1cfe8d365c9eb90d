"""huey with gevent, on Redis and on PostgreSQL.

Its guide "Consuming Tasks" says: greenlet workers for IO (`-k greenlet -w 25`), patched before
anything else is imported, a consumer a process; `-C` (no health check), `-n` (no periodic tasks)
and `-s 60` save cycles. `python -m gevent.monkey` patches first: psycopg chooses at its import how
it waits, and the consumer imports it before the app. Pops block, its default on both stores.
`store_none` keeps the history.
"""

from __future__ import annotations

from benchmarks.peers.peer import ON_REDIS, Command, Load, Peer, Place, Store


def _commands(place: Place, load: Load) -> list[Command]:
    command = [str(place.programs / "python"), "-m", "gevent.monkey"]
    command += [str(place.programs / "huey_consumer"), "benchmarks.peers.huey.app.huey"]
    command += ["-k", "greenlet", "-w", str(load.slots), "-C", "-n", "-s", "60", "-q"]
    return [command] * load.processes


PEER = Peer(
    folder="huey",
    stores=(*ON_REDIS, Store.POSTGRES),
    commands=_commands,
    keeps="its result",
)
