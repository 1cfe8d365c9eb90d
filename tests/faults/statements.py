"""Whole statements as the server has logged them, and what in them pins RDS Proxy.

What pins: Amazon RDS User Guide, "Avoiding pinning an RDS Proxy", the list for PostgreSQL: SET;
PREPARE, DISCARD, DEALLOCATE and EXECUTE; temporary sequences, tables and views; cursors; LISTEN;
nextval, setval and set_config, whether for a session or for a transaction; session advisory locks,
but not those of a transaction; LOAD; and a statement of more than 16 KB. What functions do inside
pins nobody: the proxy does not look into them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOGGING = {
    "log_statement": "all",
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "log",
    "log_filename": "server",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_file_mode": "0644",
}
"""Settings of a server that logs each statement as one line of JSON, whatever lines it has."""

LONGEST_TEXT = 16 * 1024

_LOGGED = re.compile(r"(?:statement|execute (?P<name>[^:]*)): (?P<text>.*)", re.DOTALL)
_QUIET = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<name>\"[^\"]*\")"
    r"|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$",
    re.DOTALL,
)
"""One after the other, for each may contain what looks like the beginning of another."""
_COMMANDS = re.compile(
    r"(?:^|;)\s*(?:SET|RESET|PREPARE|EXECUTE|DEALLOCATE|LISTEN|UNLISTEN|DECLARE|LOCK|LOAD|DISCARD)\b",
    re.IGNORECASE,
)
_CALLS = re.compile(
    r"\bpg_(?:try_)?advisory_(?:lock|unlock)\w*\s*\("
    r"|\b(?:nextval|setval|currval|lastval|set_config)\s*\("
    r"|\b(?:TEMP|TEMPORARY)\s+(?:RECURSIVE\s+)?(?:TABLE|VIEW|SEQUENCE)\b|\bINTO\s+TEMP",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a client, who says that he is `client`; `name` if it was prepared."""

    client: str
    text: str
    name: str = ""

    @property
    def pins(self) -> bool:
        """Whether it binds its client to one connection of a pooler."""
        bare = _QUIET.sub(_without_words, self.text)
        is_named = self.name not in ("", "<unnamed>")
        is_long = len(self.text.encode()) > LONGEST_TEXT
        return bool(is_named or is_long or _COMMANDS.search(bare) or _CALLS.search(bare))


def _without_words(quiet: re.Match[str]) -> str:
    return quiet["name"] or (" " if quiet["comment"] else "''")


def read_statements(data: Path, begin: int = 0) -> Iterator[Statement]:
    """What clients have sent, as a server with LOGGING has it, from this byte of its log on."""
    with (data / "log" / "server.json").open("rb") as log:
        log.seek(begin)
        for line in log:
            if not line.endswith(b"\n"):
                return  # it is being written
            entry = json.loads(line)
            logged = _LOGGED.match(entry.get("message", ""))
            if logged is not None:
                name = entry.get("application_name", "")
                yield Statement(name, logged["text"], logged["name"] or "")


def log_size(data: Path) -> int:
    """Bytes of the log so far."""
    return (data / "log" / "server.json").stat().st_size
