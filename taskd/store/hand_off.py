"""The end of jobs together with the next claim of their worker."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

BEGIN: LiteralString = "taskd.begin_hand_off_v1(%s)"
END: LiteralString = """
taskd.end_hand_off_v1(%s, %s::text[], %s::smallint[], %s::bigint[], %s, %s::integer[], %s)
"""


class HandOff:
    """What a worker wants to claim in the transaction that ends its jobs, and what that brought.

    The parameters are those of `claim_jobs`, and so is `claimed`, not decoded; it counts once the
    hand-off `is_over`. It is not even `is_begun` if the ends cannot be stored with one statement.
    """

    __slots__ = ("_parameters", "claimed", "is_begun", "is_over")

    def __init__(
        self,
        worker: int,
        lanes: tuple[str, str, str],
        count: int,
        ends: str | None,
        recoveries: int,
    ) -> None:
        self._parameters = (worker, *lanes, count, ends, recoveries)
        self.claimed: str | None = None
        self.is_begun = self.is_over = False

    def execute(
        self,
        connection: psycopg.Connection[Any],
        statement: LiteralString,
        parameters: tuple[Any, ...],
    ) -> tuple[Any, ...] | None:
        """Begin, end jobs, and claim; what the second of these has returned, as the only column."""
        mine, self.is_begun = self._parameters, True
        row = connection.execute(statement, (mine[0], *parameters, *mine)).fetchone()
        if row is None:
            return None
        _, lost, self.claimed = row
        self.is_over = True
        return (lost,)
