"""Where orders are carried out: each in one transaction with its line in the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskd.store.audit import NOTED_IDS, write_audit
from taskd.store.connect import Connection
from taskd.web.gate import Caller
from taskd.web.masking import HIDDEN
from taskd.web.source import Source


class OrderRefused(Exception):
    """What is ordered cannot be done as things are; the text says why."""


@dataclass(slots=True)
class Entry:
    """An order while it is carried out; `count` is what it has changed."""

    connection: Connection
    count: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes orders for one database."""

    source: Source

    @contextmanager
    def order(self, caller: Caller, action: str, said: Mapping[str, Any]) -> Iterator[Entry]:
        """Carry out an order in the block; it is noted if the block ends well, or not done at all.

        Raises DatabaseError.
        """
        with self.source.writing() as connection:
            entry = Entry(connection)
            yield entry
            who = (str(caller.role), caller.address)
            write_audit(connection, who, action, self._noted(said), entry.count)

    def _noted(self, said: Mapping[str, Any]) -> dict[str, Any]:
        noted = {
            name: value for name, value in said.items() if value is not None and value is not False
        }
        if len(noted.get("ids", ())) > NOTED_IDS:
            noted["ids_count"] = len(noted["ids"])
            noted["ids"] = noted["ids"][:NOTED_IDS]
        if "filter" in noted:
            noted["filter"] = self._noted_filter(noted["filter"])
        return noted

    def _noted_filter(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        hides = wanted.get("task") in self.source.mask
        return {
            name: HIDDEN if hides and name in ("args", "kwargs") else _as_text(value)
            for name, value in wanted.items()
            if value is not None
        }


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
