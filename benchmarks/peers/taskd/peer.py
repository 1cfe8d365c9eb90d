"""taskd, as its README starts it: one daemon for all processes."""

from __future__ import annotations

from benchmarks.peers.peer import Command, Load, Peer, Place, Store


def daemon(place: Place, load: Load, queues: str = "bench") -> Command:
    """The command of a daemon that serves these queues."""
    sizes = ("--processes", str(load.processes), "--greenlets", str(load.slots))
    command = [str(place.programs / "python"), "-m", "taskd", *sizes, "--queues", queues]
    return [*command, "--imports", "benchmarks.peers.taskd.app"]


def _commands(place: Place, load: Load) -> list[Command]:
    return [daemon(place, load)]


PEER = Peer(
    folder="taskd",
    stores=(Store.POSTGRES,),
    commands=_commands,
    keeps="a row of history",
)
