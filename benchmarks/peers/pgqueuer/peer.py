"""pgqueuer on PostgreSQL.

Its guide "Performance Tuning" says: the asyncpg driver (1.7 times psycopg in its own benchmark) on
one direct connection a worker, uvloop, `pgq autovac` after the installation, and a larger
`--batch-size` for short jobs: 100 here. For jobs that wait, `--max-concurrent-tasks` bounds the
slots, and the batch may be half of it at most. Durability is `durable`, its default.
"""

from __future__ import annotations

from benchmarks.peers.peer import Command, Load, Peer, Place, Store


def _commands(place: Place, load: Load) -> list[Command]:
    command = [str(place.programs / "pgq"), "run", "benchmarks.peers.pgqueuer.app:main"]
    command += ["--log-level", "ERROR"]
    if load.is_short:
        command += ["--batch-size", "100"]
    else:
        command += ["--batch-size", str(max(1, load.slots // 2))]
        command += ["--max-concurrent-tasks", str(max(2, load.slots))]
    return [command] * load.processes


PEER = Peer(
    folder="pgqueuer",
    stores=(Store.POSTGRES,),
    commands=_commands,
    keeps="rows of its log",
)
