"""procrastinate on PostgreSQL.

Its guide ("Execute multiple jobs at the same time") says: several workers, a process each, and in
each asynchronous tasks with `--concurrency`. LISTEN/NOTIFY is on, as it is by default: it is what
makes pick-ups fast. Jobs that ended stay (`--delete-jobs never`, the default) or go at once.
"""

from __future__ import annotations

from benchmarks.peers.peer import Command, Load, Peer, Place, Store


def _commands(place: Place, load: Load) -> list[Command]:
    command = [
        str(place.programs / "procrastinate"),
        "--app",
        "benchmarks.peers.procrastinate.app.app",
    ]
    command += ["--log-level", "error", "worker", "--queues", "bench"]
    command += ["--concurrency", str(load.slots)]
    command += ["--delete-jobs", "never" if place.keeps_history else "always"]
    return [command] * load.processes


PEER = Peer(
    folder="procrastinate",
    stores=(Store.POSTGRES,),
    commands=_commands,
    keeps="its row, and three events",
)
