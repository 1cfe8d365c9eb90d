"""Orders by the command line stand in the audit log, too: who gave them on which host."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from taskd.store.audit import NOTED_IDS, write_audit
from taskd.store.connect import Connection
from taskd.store.rows import JobFilter

ROLE = "cli"


@dataclass(slots=True)
class Entry:
    """An order while it is carried out; `count` is what it has changed."""

    count: int = 0


@contextmanager
def noted(connection: Connection, action: str, **said: Any) -> Iterator[Entry]:
    """Carry out an order in the block, in one transaction with its line in the audit log.

    What is None, False or empty was not said. Raises what the block or the database raises; then
    neither is there. So an order that is refused is refused in the block.
    """
    with connection.transaction():
        entry = Entry()
        yield entry
        note(connection, action, said, entry.count)


def note(connection: Connection, action: str, said: Mapping[str, Any], count: int) -> None:
    """Note that an order which is carried out in steps begins, or what it has changed at its end.

    Between them the connection may be lost: hence both.
    """
    parameters = {name: value for name, value in said.items() if _is_said(value)}
    ids = parameters.get("ids", ())
    if len(ids) > NOTED_IDS:
        parameters |= {"ids": list(ids)[:NOTED_IDS], "ids_count": len(ids)}
    write_audit(connection, (ROLE, whoever()), action, parameters, count)


def _is_said(value: object) -> bool:
    if isinstance(value, tuple | dict):
        return bool(value)
    return value is not None and value is not False  # but 0 is said


def said_by(wanted: JobFilter) -> dict[str, Any]:
    """What a filter says, as the audit log has it."""
    empty = asdict(JobFilter())
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(wanted).items()
        if value != empty[name]
    }


def whoever() -> str:
    """The user of this process and the host that it runs on: alice@web1.

    Whatever the environment says of the user; by number, who has no name, as in a container.
    """
    number = os.getuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:
        user = str(number)
    return f"{user}@{socket.gethostname()}"
