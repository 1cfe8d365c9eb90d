"""celery with gevent on Redis.

Its guide "Optimizing" says: a prefetch multiplier of 64 or 128 for many short tasks, 1 for long
ones. Beyond that: `--without-gossip --without-mingle --without-heartbeat`, as workers here need not
know of each other, and no rate limits (`worker_disable_rate_limits`), as no task has one. A worker
is one process with a pool of greenlets (`--pool gevent`). The result backend keeps the history.
"""

from __future__ import annotations

from benchmarks.peers.peer import ON_REDIS, Command, Load, Peer, Place


def _commands(place: Place, load: Load) -> list[Command]:
    command = [str(place.programs / "celery"), "--app", "benchmarks.peers.celery.app", "worker"]
    command += ["--pool", "gevent", "--concurrency", str(load.slots), "--queues", "bench"]
    command += ["--prefetch-multiplier", "128" if load.is_short else "1"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command += ["--loglevel", "ERROR"]
    return [[*command, "--hostname", f"worker{n}@%h"] for n in range(load.processes)]


PEER = Peer(
    folder="celery",
    stores=ON_REDIS,
    commands=_commands,
    keeps="its result, for a day",
)
