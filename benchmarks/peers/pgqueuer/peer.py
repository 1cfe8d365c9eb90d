"""pgqueuer on PostgreSQL.

Its guide "Performance Tuning" says: the asyncpg driver (1.7 times psycopg in its own benchmark) on
one direct connection a worker, uvloop, `pgq autovac` after the installation, and a larger
`batch_size` for short jobs: 100 here. For jobs that wait, `max_concurrent_tasks` bounds the
slots, and the batch may be half of it at most. Durability is `durable`, its default. Workers are
started by `PgQueuer.run`: `pgq run` of this version fails with the typer that it installs.
"""

from __future__ import annotations

from benchmarks.peers.peer import Command, Load, Peer, Place, Store


def _commands(place: Place, load: Load) -> list[Command]:
    batch, most = (100, 0) if load.is_short else (max(1, load.slots // 2), max(2, load.slots))
    command = [str(place.programs / "python"), "-m", "benchmarks.peers.pgqueuer.app"]
    return [[*command, str(batch), str(most)]] * load.processes


PEER = Peer(
    folder="pgqueuer",
    stores=(Store.POSTGRES,),
    commands=_commands,
    keeps="rows of its log",
)
