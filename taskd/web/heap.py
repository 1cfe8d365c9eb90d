"""What grows in a worker: it is asked itself, on whatever host, and looks twice."""

from __future__ import annotations

from typing import Any

from taskd.store.connect import Connection
from taskd.store.reading import try_to_write
from taskd.tasks.heap import ask_heaps
from taskd.web.answers import NotThere, Values
from taskd.web.shapes import Shape, array, nullable, object_of
from taskd.web.source import Source
from taskd.web.stacks import ONLY_READS, find_worker

LONGEST_SECONDS = 30.0
PATIENCE_SECONDS = 15.0

_GROWN: dict[str, Shape] = {
    "type": {"type": "string"},
    "before": {"type": "integer"},
    "after": {"type": "integer"},
}
_NUMBER = nullable({"type": "number"})
WORKER_HEAP = object_of(
    {
        "worker": {"type": "string"},
        "note": {"type": "string"},
        "seconds": _NUMBER,
        "blocks_before": nullable({"type": "integer"}),
        "blocks_after": nullable({"type": "integer"}),
        "longest_stop": _NUMBER,
        "types": array(object_of(_GROWN)),
        "containers": array(object_of({**_GROWN, "name": {"type": "string"}})),
    }
)
_UNKNOWN: dict[str, Any] = {
    "seconds": None,
    "blocks_before": None,
    "blocks_after": None,
    "longest_stop": None,
    "types": [],
    "containers": [],
}


def worker_heap(source: Source, values: Values) -> dict[str, Any]:
    """What grows in a worker within `seconds`: objects by type, and containers, most grown first.

    Answers after that time and what the counting takes, at most 15 s more. The worker is held up
    for `longest_stop` at most, in seconds, at a time. `note` says what hindered an answer: then it
    has figures of nothing. One worker is looked at at a time; no values are told.
    """
    with source.reading() as connection:
        named = find_worker(connection, values["id"])
    if named is None:
        raise NotThere(f"no worker {values['id']} lives: /workers has those that do")
    told: list[dict[str, Any]] = []

    def ask(connection: Connection) -> None:
        told.extend(ask_heaps(connection, [named], values["seconds"], PATIENCE_SECONDS))

    with source.asking_heap() as connection:
        if not try_to_write(connection, ask):
            told.append({"worker": str(named), "note": ONLY_READS})
    return {**_UNKNOWN, **told[0]}
