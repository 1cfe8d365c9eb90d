"""The plans of all that a connection executes, also inside of functions, which EXPLAIN hides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.errors import Diagnostic

_ON = """
LOAD 'auto_explain';
SET auto_explain.log_level = notice;
SET auto_explain.log_format = json;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_min_duration = 0
"""
_OFF = "SET auto_explain.log_min_duration = -1"
_BY_ITS_PLACE = ("Index Scan", "Index Only Scan", "Tid Scan")


@dataclass(frozen=True)
class Scan:
    """A node of a plan that has read a table: how, by which condition, and how many rows."""

    table: str
    kind: str
    condition: str
    rows: float

    @property
    def is_by_place(self) -> bool:
        """Whether it goes to single rows, by an index with a condition or by their addresses."""
        return self.kind in _BY_ITS_PLACE and bool(self.condition)


@contextmanager
def explained(connection: psycopg.Connection[Any]) -> Iterator[list[Scan]]:
    """The scans of all statements until the block ends; the list is filled as they are made."""
    scans: list[Scan] = []

    def note(diagnostic: Diagnostic) -> None:
        text = diagnostic.message_primary or ""
        if " plan:\n" in text:
            scans.extend(_scans(json.loads(text[text.index("{") :])["Plan"]))

    connection.execute(_ON)
    connection.add_notice_handler(note)
    try:
        yield scans
    finally:
        connection.remove_notice_handler(note)
        connection.execute(_OFF)


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    """Those of a node and all below it, as far as they were executed."""
    loops = node.get("Actual Loops", 0)
    if "Relation Name" in node and node["Node Type"] != "ModifyTable" and loops:
        removed = node.get("Rows Removed by Filter", 0)
        removed += node.get("Rows Removed by Index Recheck", 0)
        condition = node.get("Index Cond") or node.get("TID Cond") or ""
        rows = loops * (node["Actual Rows"] + removed)
        yield Scan(node["Relation Name"], node["Node Type"], condition, rows)
    for below in node.get("Plans", ()):
        yield from _scans(below)
