"""The end of jobs together with the next claim of their worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

from taskd.store.prepared import Prepared

_CLAIM = ("text[]", "smallint[]", "bigint[]", "integer", "integer[]", "integer")


def handing_off(title: str, ends: LiteralString, parameters: int) -> Prepared:
    """The statement of a hand-off; `ends` has so many parameters, of which the worker is $1."""
    claim = ", ".join(f"${n}::{kind}" for n, kind in enumerate(_CLAIM, start=parameters + 1))
    return Prepared(
        title,
        "SELECT taskd.begin_hand_off_v1($1::bigint)::text, "
        f"{ends}, taskd.end_hand_off_v1($1::bigint, {claim})",
    )


class HandOff:
    """What a worker wants to claim in the transaction that ends its jobs, and what that brought.

    The parameters are those of `claim_jobs`, and so is `claimed`, not decoded; it counts once the
    hand-off `is_over`. It is not even `is_begun` if the ends cannot be stored with one statement.
    """

    __slots__ = ("_parameters", "claimed", "is_begun", "is_over")

    def __init__(
        self,
        lanes: tuple[str, str, str],
        count: int,
        ends: str | None,
        recoveries: int,
    ) -> None:
        self._parameters = (*lanes, str(count), ends, str(recoveries))
        self.claimed: str | None = None
        self.is_begun = self.is_over = False

    def execute(
        self,
        connection: psycopg.Connection[Any],
        statement: Prepared,
        parameters: Sequence[str | None],
    ) -> str | None:
        """Begin, end jobs, and claim; what the second of these has returned."""
        self.is_begun = True
        row = statement.row(connection, (*parameters, *self._parameters))
        if row is None:
            return None
        _, lost, self.claimed = row
        self.is_over = True
        return lost
