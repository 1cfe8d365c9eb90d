"""How many jobs each living worker can run at once."""

from __future__ import annotations

from typing import Any

import psycopg

from taskd.store.hosts import SILENT_SECONDS

# Index worker_live.
_SLOTS = """
SELECT w.host, w.pid, w.greenlets
FROM taskd.worker w
JOIN taskd.host h ON h.id = w.host
WHERE w.ended_at IS NULL AND h.ended_at IS NULL
  AND h.beat_at > clock_timestamp() - %s * interval '1 second'
"""


def list_slots(connection: psycopg.Connection[Any]) -> dict[tuple[int, int], int]:
    """The slots of each worker of the hosts that live, by host and pid."""
    rows = connection.execute(_SLOTS, (SILENT_SECONDS,)).fetchall()
    return {(host, pid): slots for host, pid, slots in rows}
