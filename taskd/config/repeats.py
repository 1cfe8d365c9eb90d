"""Names that a list holds twice, or in two spellings."""

import unicodedata
from collections.abc import Iterator

from taskd.config.layer import Layer, Path
from taskd.config.sentences import shown
from taskd.errors import Fault


def find_repeats(layer: Layer) -> Iterator[Fault]:
    """Find every name that its list has named already: imports, offers, the queues of pools."""
    yield from _repeats_in_list(layer, ("imports",))
    yield from _repeats_in_list(layer, ("offers",))
    pools = layer.values.get("pools")
    if isinstance(pools, dict):
        for name in pools:
            yield from _repeats_in_list(layer, ("pools", name, "queues"))


def _repeats_in_list(layer: Layer, path: Path) -> Iterator[Fault]:
    try:
        names = layer.value_at(path)
    except KeyError:
        return
    first: dict[str, str] = {}
    weighted = isinstance(names, dict)  # to its weight each
    for index, name in enumerate(names if isinstance(names, list | dict) else ()):
        if not isinstance(name, str):
            continue
        spelling = _spelling(name)
        if spelling in first:
            yield layer.fault(
                (*path, name if weighted else index), _repeated(name, first[spelling])
            )
        first.setdefault(spelling, name)


def _spelling(name: str) -> str:
    """Return what two spellings of a name have in common."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _repeated(name: str, other: str) -> str:
    if name == other:
        return f"{shown(name)} is in the list twice: take one out"
    return f"{shown(name)} and {shown(other)} are two spellings of one name: keep the right one"
