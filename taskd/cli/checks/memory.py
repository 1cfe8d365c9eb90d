"""Whether the limits of memory go together, and with what this machine has."""

from __future__ import annotations

from collections.abc import Iterator

from taskd.cli.checks.finding import Finding, fine, warning
from taskd.config.settings import PoolSettings, Settings
from taskd.config.units import parse_share, roughly
from taskd.supervisor.memory.machine import Machine


def check_memory(settings: Settings, machine: Machine | None = None) -> Iterator[Finding]:
    """Compare the limits of each pool with each other, and of all with the memory there is."""
    machine = machine or Machine()
    there_is = machine.total()
    if not there_is:
        return
    whose = "of this machine" if machine.group is None else "for this control group"
    faults = [
        finding
        for name, pool in settings.pools.items()
        for finding in _about_pool(name, pool, there_is)
    ]
    yield from faults
    if not faults:
        yield fine("memory", f"{roughly(there_is)} {whose}")


def _about_pool(name: str, pool: PoolSettings, there_is: int) -> Iterator[Finding]:
    soft, hard, budget = (
        _bytes(limit, there_is)
        for limit in (pool.memory.soft, pool.memory.hard, pool.memory.host_budget)
    )
    setting = f"pools.{name}.memory"
    if soft is not None and hard is not None and soft >= hard:
        yield warning(
            "memory",
            f"{setting}: soft, {roughly(soft)}, is not below hard, {roughly(hard)}",
            f"set {setting}.soft so low that a worker has room to drain before it is killed",
        )
    if budget is not None and budget > there_is:
        yield warning(
            "memory",
            f"{setting}: host_budget is {roughly(budget)}, and there are {roughly(there_is)}",
            "say a share, such as 90%",
        )
    most = soft if soft is not None else hard
    if most is not None and most * pool.processes > there_is:
        yield warning(
            "memory",
            f"pool {name}: {pool.processes} workers of up to {roughly(most)} are "
            f"{roughly(most * pool.processes)}, and there are {roughly(there_is)}",
            f"have fewer processes, or a lower limit in {setting}",
        )


def _bytes(limit: int | str | None, there_is: int) -> int | None:
    return int(parse_share(limit) * there_is) if isinstance(limit, str) else limit
