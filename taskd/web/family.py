"""What belongs to a job: those that it comes after, and those that come after it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from taskd.store.family import Relative, find_family
from taskd.web.answers import Values
from taskd.web.shapes import Shape, array, object_of, shape_of
from taskd.web.source import Source

_LIST = array(object_of(shape_of(Relative)))
SHAPE: Shape = object_of({"parents": _LIST, "children": _LIST})


def family(source: Source, values: Values) -> dict[str, Any]:
    """The jobs that a job comes after, and those that come after it; at most 100 of each.

    Children that wait no more are found among the 1000 jobs that were enqueued next. Both lists are
    empty for a job that is unknown.
    """
    with source.reading() as connection:
        found = find_family(connection, values["id"])
    return {name: [asdict(each) for each in getattr(found, name)] for name in found._fields}
