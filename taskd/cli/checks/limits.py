"""The limits of the file, and whether what they limit is served."""

from __future__ import annotations

from collections.abc import Iterator

from taskd.cli.checks.finding import Finding, fine, warning
from taskd.cli.checks.places import places_of
from taskd.config.layer import Layer
from taskd.config.settings import Settings
from taskd.events import counted
from taskd.tasks.names import nearest_name

LIMITING = ("concurrency", "rate")


def check_limits(settings: Settings) -> Iterator[Finding]:
    """Look whether some pool serves each queue that has limits."""
    limited = {
        name: setting
        for name, queue in settings.queues.items()
        for setting in reversed(LIMITING)
        if getattr(queue, setting) is not None
    }
    if not limited and not settings.limits:
        return
    served = {name for pool in settings.pools.values() for name in pool.queues}
    serves_all = not all(pool.queues for pool in settings.pools.values())
    unserved = [] if serves_all else [name for name in limited if name not in served]
    places = places_of(settings) if unserved else None
    for name in unserved:
        assert places is not None
        yield _unserved(places, name, limited[name], served)
    if not unserved:
        queues = counted(len(limited), "queue")
        yield fine("limits", f"of {queues}, and {len(settings.limits)} that code names")


def _unserved(places: Layer, name: str, setting: str, served: set[str]) -> Finding:
    """A queue that another host may serve, or whose name is misspelt."""
    near = nearest_name(name, served)
    return warning(
        "limits",
        str(places.fault(("queues", name, setting), "no pool here serves this queue")),
        f"did you mean {near}?" if near else "let a pool serve it, unless other hosts do",
    )
