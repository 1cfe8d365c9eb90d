"""What is wrong with a pool's memory that no single setting of it can know."""

from collections.abc import Iterator

from taskd.config.layer import Layer, Path
from taskd.config.memory import MemorySettings
from taskd.config.sentences import shown
from taskd.config.units import format_duration, parse_duration, parse_share
from taskd.config.values import read_memory
from taskd.errors import Fault

USUAL = MemorySettings()


def find_memory_faults(said: Layer) -> Iterator[Fault]:
    """Find what is wrong between the settings of each pool's memory.

    A setting that is faulty in itself has been told of; nothing is said of it again.
    """
    pools = said.values.get("pools")
    for name, pool in pools.items() if isinstance(pools, dict) else ():
        memory = pool.get("memory") if isinstance(pool, dict) else None
        if isinstance(memory, dict):
            yield from _limits(said, ("pools", name, "memory"), memory)
            yield from _lifetimes(said, ("pools", name, "memory"), memory)


def _limits(said: Layer, path: Path, memory: dict[str, object]) -> Iterator[Fault]:
    """Two sizes, or two shares; of one of each only the machine can tell."""
    try:
        soft, hard = (read_memory(memory[name]) for name in ("soft", "hard"))
    except (KeyError, ValueError):
        return
    if isinstance(soft, str) and isinstance(hard, str):
        is_below = parse_share(soft) < parse_share(hard)
    elif isinstance(soft, int) and isinstance(hard, int):
        is_below = soft < hard
    else:
        return
    if not is_below:
        yield said.fault(
            (*path, "soft"),
            f"{shown(memory['soft'])} is not below hard, {shown(memory['hard'])}: "
            "a worker must have room to drain before it is killed",
        )


def _lifetimes(said: Layer, path: Path, memory: dict[str, object]) -> Iterator[Fault]:
    try:
        most = parse_duration(memory["max_lifetime"])
        least = parse_duration(memory.get("min_lifetime", USUAL.min_lifetime))
    except (KeyError, ValueError):
        return
    if most < least:
        yield said.fault(
            (*path, "max_lifetime"),
            f"{format_duration(most)} is less than min_lifetime, {format_duration(least)}: "
            "no worker could live by both",
        )
