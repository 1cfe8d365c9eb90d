"""The schema's versions: forward only, numbered, installed under a lock.

A change first expands (new tables, columns, functions under new names) and contracts one release
later, so that programs of two neighbouring releases share one database while they are rolled out.
`version` says how far the schema is, `min_compatible` the oldest version a program may know and
still use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, LiteralString

import psycopg

from taskd.errors import SchemaForeign, SchemaMissing, SchemaTooNew, SchemaTooOld
from taskd.store.connect import check_encoding


@dataclass(frozen=True, slots=True)
class Migration:
    """One step; `min_compatible` is the oldest version whose programs can live with it."""

    version: int
    name: str
    min_compatible: int


MIGRATIONS = (Migration(1, "initial", min_compatible=1),)
KNOWN = MIGRATIONS[-1].version

_VERSION_TABLE = """
CREATE TABLE taskd.schema_version (
    version        integer     NOT NULL,
    min_compatible integer     NOT NULL,
    fingerprint    text        NOT NULL,
    changed_at     timestamptz NOT NULL DEFAULT now()
)
"""


# A schema from before there were fingerprints has no such column.
_STATUS = """
SELECT version, min_compatible, to_jsonb(schema_version) ->> 'fingerprint'
FROM taskd.schema_version
"""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """What the database holds (version None: nothing) and what this program knows."""

    version: int | None
    min_compatible: int | None
    known: int
    fingerprint: str | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the scripts of a version that is known here were others when they were run."""
        known = self.version is not None and 1 <= self.version <= KNOWN
        return known and self.fingerprint != fingerprint_of(self.version or 0)

    @property
    def pending(self) -> tuple[Migration, ...]:
        """The migrations that an upgrade would run."""
        return tuple(m for m in MIGRATIONS if m.version > (self.version or 0))


def status(connection: psycopg.Connection[Any]) -> SchemaStatus:
    """What version of the schema the database holds."""
    row = connection.execute("SELECT to_regclass('taskd.schema_version') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return SchemaStatus(None, None, KNOWN)
    found = connection.execute(_STATUS).fetchone()
    version, min_compatible, fingerprint = found or (None, None, None)
    return SchemaStatus(version, min_compatible, KNOWN, fingerprint)


def can_limit_statements(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has the function that does it; looks at no table of ours."""
    row = connection.execute(
        "SELECT to_regprocedure('taskd.limit_statements_v1(double precision)') IS NOT NULL"
    ).fetchone()
    return row is not None and bool(row[0])


def check_compatible(connection: psycopg.Connection[Any]) -> SchemaStatus:
    """Raise Schema… Missing, TooOld, TooNew or Foreign unless this program can use the schema."""
    found = status(connection)
    if found.version is None or found.min_compatible is None:
        raise SchemaMissing
    if found.min_compatible > KNOWN:
        raise SchemaTooNew(found.min_compatible, KNOWN)
    if found.is_foreign:
        raise SchemaForeign(found.version)
    if found.version < KNOWN:
        raise SchemaTooOld(found.version, KNOWN)
    return found


def install_or_upgrade(connection: psycopg.Connection[Any]) -> tuple[Migration, ...]:
    """Bring the schema to the version this program knows; the migrations that it took.

    One transaction under a lock: of several that start at once one installs, the others wait and
    find it done. Raises SchemaTooNew if the schema is ahead of what this program can use,
    SchemaForeign if it was never released, and EncodingUnusable.
    """
    check_encoding(connection)  # else the scripts would not even reach the server
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('taskd.schema'))")
        found = status(connection)
        if found.min_compatible is not None and found.min_compatible > KNOWN:
            raise SchemaTooNew(found.min_compatible, KNOWN)
        if found.version is not None and found.is_foreign:
            raise SchemaForeign(found.version)
        for migration in found.pending:
            _run(connection, migration)
        return found.pending


def _run(connection: psycopg.Connection[Any], migration: Migration) -> None:
    for script in _scripts(migration):
        connection.execute(script)
    if migration.version == 1:
        connection.execute(_VERSION_TABLE)
        connection.execute("INSERT INTO taskd.schema_version VALUES (0, 0, '')")
    connection.execute(
        "UPDATE taskd.schema_version SET version = %s, min_compatible = %s, fingerprint = %s, "
        "changed_at = now()",
        (migration.version, migration.min_compatible, fingerprint_of(migration.version)),
    )


@cache
def fingerprint_of(version: int) -> str:
    """Of all scripts up to a version, so that nobody works with an edited one unawares."""
    digest = sha256()
    for migration in MIGRATIONS[:version]:
        for script in _scripts(migration):
            digest.update(script.encode())
    return digest.hexdigest()[:16]


def _scripts(migration: Migration) -> list[LiteralString]:
    folder = files("taskd.store").joinpath(
        "migrations", f"{migration.version:04d}_{migration.name}"
    )
    scripts = sorted(folder.iterdir(), key=lambda script: script.name)
    return [s.read_text(encoding="utf-8") for s in scripts if s.name.endswith(".sql")]


def print_sql() -> str:
    """All migrations as one SQL script, for those who review or run it by hand."""
    parts = ["BEGIN;"]
    for migration in MIGRATIONS:
        parts += _scripts(migration)
        if migration.version == 1:
            parts += [
                _VERSION_TABLE.strip() + ";",
                "INSERT INTO taskd.schema_version VALUES (0, 0, '');",
            ]
        parts.append(
            f"UPDATE taskd.schema_version SET version = {migration.version}, "
            f"min_compatible = {migration.min_compatible}, "
            f"fingerprint = '{fingerprint_of(migration.version)}', changed_at = now();"
        )
    return "\n".join([*parts, "COMMIT;", ""])
