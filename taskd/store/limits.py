"""Limits that the files of hosts declare, and what is forgotten of resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg

AnyConnection = psycopg.Connection[Any]


class Limit(NamedTuple):
    """How many jobs may be admitted at once, how many a second, and how many of those together.

    None: any number; without a burst, one.
    """

    concurrency: int | None = None
    rate: float | None = None
    burst: int | None = None


def declare_limits(
    connection: AnyConnection, host: int, limits: Mapping[str, tuple[Any, ...]]
) -> None:
    """Store all limits that a host's file says, by name, in place of what it said before.

    The name of a queue's limit is "@queue NAME", that of a key's "@key NAME". Waits for the
    dispatcher if a limit is another than before.
    """
    units, rates, bursts = (
        (list(column) for column in zip(*limits.values(), strict=True)) if limits else ([], [], [])
    )
    connection.execute(
        "SELECT taskd.declare_limits_v1(%s, %s::text[], %s::int[], %s::float8[], %s::int[])",
        (host, list(limits), units, rates, bursts),
    )


def settle_limits(connection: AnyConnection) -> bool:
    """Let limits be as the hosts that live now want them; whether some were not.

    Waits for the dispatcher if they were not.
    """
    row = connection.execute("SELECT taskd.settle_limits_v1()").fetchone()
    return bool(row and row[0])


def prune_resources(connection: AnyConnection) -> int:
    """Forget resources that nobody holds or wants, and limits that no living host wants any more.

    Waits for the dispatcher only if a limit goes; how many resources were forgotten.
    """
    settle_limits(connection)
    row = connection.execute("SELECT taskd.prune_resources_v1()").fetchone()
    return int(row[0]) if row else 0
