"""dramatiq with gevent on Redis.

Its guide "Using gevent" says: `dramatiq-gevent`, processes by `-p`, greenlets by `-t`; greenlets
suit jobs that wait. Redis is reached through its unix socket, as PostgreSQL is. The history is
kept by its results middleware, and goes with it.
"""

from __future__ import annotations

from benchmarks.peers.peer import ON_REDIS, Command, Load, Peer, Place


def _commands(place: Place, load: Load) -> list[Command]:
    command = [str(place.programs / "dramatiq-gevent"), "benchmarks.peers.dramatiq.app"]
    command += ["--processes", str(load.processes), "--threads", str(load.slots)]
    return [[*command, "--queues", "bench", "--skip-logging"]]


PEER = Peer(
    folder="dramatiq",
    stores=ON_REDIS,
    commands=_commands,
    keeps="its result, for 10 minutes",
)
