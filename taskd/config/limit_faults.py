"""What is wrong with a limit of the file that no single setting of it can know."""

from collections.abc import Iterator

from taskd.config.layer import Layer, Path
from taskd.config.sentences import shown
from taskd.errors import Fault


def find_limit_faults(said: Layer) -> Iterator[Fault]:
    """Find what is wrong between the settings of each queue and of each limit."""
    for section in ("queues", "limits"):
        named = said.values.get(section)
        for name, settings in named.items() if isinstance(named, dict) else ():
            if isinstance(settings, dict | None):
                yield from _faults_between(said, (section, name), settings or {})


def _faults_between(said: Layer, path: Path, settings: dict[str, object]) -> Iterator[Fault]:
    burst = settings.get("burst")
    if burst is not None and settings.get("rate") is None:
        yield said.fault(
            (*path, "burst"),
            f"{shown(burst)} goes with a rate, and there is none: "
            "add one, such as rate: 100/m, or leave burst out",
        )
    elif path[0] == "limits" and all(value is None for value in settings.values()):
        yield said.fault(path, "limits nothing: give it concurrency, a rate or both")
