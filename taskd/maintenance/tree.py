"""The processes of this daemon, as the master last told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class TreeProcess:
    """One process; slot, pool and generation are None where it has none."""

    pid: int
    role: str
    pool: str | None = None
    slot: int | None = None
    generation: int | None = None

    @classmethod
    def from_message(cls, told: Mapping[str, Any]) -> Self:
        """Read it from the master's message."""
        return cls(
            told["pid"], told["role"], told.get("pool"), told.get("slot"), told.get("generation")
        )


def pools_by_slot(processes: Iterable[TreeProcess]) -> dict[int, str]:
    """Which pool the worker in each slot belongs to."""
    return {
        process.slot: process.pool
        for process in processes
        if process.role == "worker" and process.slot is not None and process.pool is not None
    }
