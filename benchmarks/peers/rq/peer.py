"""rq on Redis.

Its page "Notes on Performance" says: `SimpleWorker`, which does not fork for each job, is six times
as fast for short jobs. A worker runs one job at a time, so 4 x 25 are 100 processes of one
`rq worker-pool`. Ended jobs stay for `result_ttl`, 500 s by default, or go at once with 0.
"""

from __future__ import annotations

from benchmarks.peers.peer import ON_REDIS, Command, Load, Peer, Place


def _commands(place: Place, load: Load) -> list[Command]:
    command = [
        str(place.programs / "rq"),
        "worker-pool",
        "bench",
        "--num-workers",
        str(_count(load)),
    ]
    command += ["--worker-class", "rq.worker.SimpleWorker", "--quiet"]
    return [[*command, "--url", f"unix://{place.redis}"]]


def _count(load: Load) -> int:
    return load.processes if load.is_short else load.processes * load.slots


PEER = Peer(
    folder="rq",
    stores=ON_REDIS,
    commands=_commands,
    keeps="its hash, for 500 s",
    worker_processes=_count,
)
