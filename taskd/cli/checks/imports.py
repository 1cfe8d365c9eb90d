"""The modules of `imports`: importable, and leaving nothing open that children cannot share."""

from __future__ import annotations

from collections.abc import Iterator

from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.cli.checks.places import places_of
from taskd.cli.checks.schedules import check_schedules
from taskd.cli.probing import Probed, probe_imports
from taskd.config.settings import Settings
from taskd.events import counted


def check_imports(settings: Settings) -> Iterator[Finding]:
    """Import the modules once for each kind of pool, in a process of its own."""
    if not settings.imports:
        yield warning(
            "imports", "names no modules, so every job would fail", "set imports: [your.module]"
        )
        return
    for kind in sorted({pool.kind for pool in settings.pools.values()}):
        limits = [pool.startup_timeout for pool in settings.pools.values() if pool.kind == kind]
        greenlets = kind == "greenlet"
        probed = probe_imports(
            settings.imports,
            middleware=settings.middleware,
            greenlets=greenlets,
            seconds=min(limits),
        )
        yield from findings_of(probed, f"for {kind} pools")
    if probed.error is None:
        yield from check_schedules(settings.schedules, probed.tasks, places_of(settings).fault)


def findings_of(probed: Probed, where: str) -> Iterator[Finding]:
    """What one import came to."""
    if probed.error is not None:
        yield fault("imports", f"{probed.error} ({where})", "mend the module, or correct `imports`")
        return
    yield fine("imports", f"importable {where}, {counted(len(probed.tasks), 'task')}")
    left = [f"thread {name}" for name in probed.threads]
    left += [f"socket {name}" for name in probed.sockets]
    if left:
        yield warning(
            "imports",
            f"importing leaves open ({where}): {', '.join(left)}",
            "open it when a job first needs it; otherwise each worker imports for itself, which "
            "is slower and shares no memory",
        )
