"""Every error that taskd raises, in one tree; each docstring says when, and what to do about it."""

from __future__ import annotations


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
