"""How the store says what a job needs: units of resources, and of limits.

Limits are named `@key stripe`, `@task shop.sync`, `@queue sync`. The sign keeps them apart from
resources, whose names do not begin with one; see level_v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

EXCLUSIVE = 2_147_483_647
"""The units that a job needs which wants a resource for itself alone."""


class Whose(StrEnum):
    """What a limit is of."""

    KEY = "@key"
    TASK = "@task"
    QUEUE = "@queue"

    def limit(self, name: str) -> str:
        """The name of the limit of this one."""
        return f"{self} {name}"


def read_limit(name: str) -> tuple[Whose, str] | None:
    """Whose limit it is, and of which; None: it is a resource."""
    sign, _, rest = name.partition(" ")
    return next(((whose, rest) for whose in Whose if whose == sign), None)


def all_named(name: str) -> Iterator[str]:
    """The limits of whatever may have this name."""
    return (whose.limit(name) for whose in Whose)
