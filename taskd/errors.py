"""Every error that taskd raises, in one tree; each docstring says when, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


class TaskdError(Exception):
    """The root of the tree: catch it to catch whatever taskd itself raises."""


# --- the database -------------------------------------------------------------------------------


class DatabaseError(TaskdError):
    """Something about the database is wrong; the subclass says what."""


class DatabaseUnavailable(DatabaseError):
    """The server cannot be reached or went away; trying again later may help."""


class DatabaseRefused(DatabaseError):
    """The server answered no: wrong password, missing database, no such role; mend the DSN."""


class StatementTimedOut(DatabaseUnavailable):
    """A statement got no answer within its deadline; its connection has been closed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"no answer from the database within {seconds:g} s")


class SchemaTooOld(DatabaseError):
    """The schema is older than this program needs; run `taskd schema upgrade`."""

    def __init__(self, found: int, needed: int) -> None:
        self.found, self.needed = found, needed
        super().__init__(
            f"the database's taskd schema is at version {found}, this program needs {needed}: "
            "run `taskd schema upgrade`"
        )


class SchemaTooNew(DatabaseError):
    """The schema no longer supports programs as old as this one; install a newer taskd."""

    def __init__(self, min_compatible: int, known: int) -> None:
        self.min_compatible, self.known = min_compatible, known
        super().__init__(
            f"the database's taskd schema needs programs that know version {min_compatible} or "
            f"later, this one knows {known}: upgrade taskd"
        )


class SchemaMissing(DatabaseError):
    """The database holds no taskd schema; run `taskd schema install` or start the daemon once."""

    def __init__(self) -> None:
        super().__init__(
            "the database holds no taskd schema: run `taskd schema install`, "
            "or start the daemon on it once"
        )


# --- the configuration --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration; its text says where, what, and what to do."""

    source: str
    """The file, the flag or the environment variable."""
    line: int | None
    """The line of the file, from 1; None if the fault is none of a line."""
    path: str
    """The setting, dotted: `pools.io.greenlets`; empty if the fault is none of a setting."""
    message: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigurationInvalid(TaskdError):
    """The configuration cannot be used; mend every one of `faults`, they are all there are."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))
