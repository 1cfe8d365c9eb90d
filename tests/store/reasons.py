"""Short ways to ask why a job waits."""

from __future__ import annotations

from taskd.store.connect import Connection
from taskd.tasks.reasons import Reason
from taskd.tasks.why import find_reasons


def reasons(connection: Connection, job: int) -> list[Reason]:
    found = find_reasons(connection, job)
    assert found is not None
    return found


def only_reason(connection: Connection, job: int) -> Reason:
    (reason,) = reasons(connection, job)
    return reason
