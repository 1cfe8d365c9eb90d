"""What taskd raises; each docstring says when, and what to do about it. There are three roots.

    TaskdError    something is wrong: with the database, the configuration, a task, a call, a job
    JobSignal     a task raises it to say how its own attempt ends
    Interrupt     a worker raises it inside a running job to end it; no Exception

However long, this is one list in one module: `taskd.errors.JobTimeout` is the name that tracebacks,
stored failures and users' `except` clauses have for it.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass

MAX_PAUSE = 100 * 365 * 86400.0
"""The longest delay that anything takes, in seconds: a hundred years."""


class TaskdError(Exception):
    """The root of the tree: catch it to catch whatever taskd itself raises."""


class OtherVersion(TaskdError):
    """Another version of taskd was installed under a running daemon."""

    def __init__(self, installed: str, running: str) -> None:
        self.installed, self.running = installed, running
        super().__init__(
            f"taskd {installed} is installed, but the daemon runs {running}: restart the daemon"
        )


# --- the database -------------------------------------------------------------------------------


class DatabaseError(TaskdError):
    """Something about the database is wrong; the subclass says what."""


class DatabaseUnavailable(DatabaseError):
    """The server cannot be reached or went away; trying again later may help."""


class DatabaseRefused(DatabaseError):
    """The server answered no: wrong password, missing database, no such role; mend the DSN."""


class EncodingUnusable(DatabaseRefused):
    """The database has another encoding than UTF8, which cannot hold every text; make a new one."""

    def __init__(self, database: str, encoding: str) -> None:
        self.database, self.encoding = database, encoding
        super().__init__(
            f"the encoding of database {database} is {encoding}, which cannot hold every text, and "
            "taskd needs UTF8: make another with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE "
            "template0, and name it as database"
        )


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


class SchemaForeign(DatabaseError):
    """The schema's version is known here, but not this form of it: it was never released."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(
            f"the database's taskd schema says version {version}, but is another than this "
            "program's: it was made by a checkout that was never released. Take another database "
            "or --state-dir, or give up the jobs in it with DROP SCHEMA taskd CASCADE"
        )


class SchemaMissing(DatabaseError):
    """The database holds no taskd schema; run `taskd schema install` or start the daemon once."""

    def __init__(self) -> None:
        super().__init__(
            "the database holds no taskd schema: run `taskd schema install`, "
            "or start the daemon on it once"
        )


class EmbeddedServerFailed(DatabaseError):
    """The embedded PostgreSQL cannot run; mend what `reason` says, or give --database.

    `data_dir` is where its data is or was to be, if that is known.
    """

    def __init__(self, reason: str, data_dir: str | None = None) -> None:
        self.reason, self.data_dir = reason, data_dir
        where = f" (its data: {data_dir})" if data_dir else ""
        super().__init__(f"the embedded PostgreSQL{where} does not run: {reason}")


class EmbeddedServerNotReady(DatabaseUnavailable):
    """The embedded PostgreSQL is still starting, or recovering; its keeper goes on, try again."""

    def __init__(self, reason: str, data_dir: str, seconds: float) -> None:
        self.reason, self.data_dir, self.seconds = reason, data_dir, seconds
        super().__init__(
            f"the embedded PostgreSQL (its data: {data_dir}) is not ready after {seconds:.0f} s: "
            f"{reason}"
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
    column: int | None = None
    """The column of the line, from 1; None if the fault is none of a line."""

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigurationInvalid(TaskdError):
    """The configuration cannot be used; mend every one of `faults`, they are all there are."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


# --- tasks and their calls ----------------------------------------------------------------------


class NotATask(TaskdError, ValueError):
    """A thing cannot be run as a task: no plain function, or none that a worker could find."""


class TaskNameTaken(TaskdError, ValueError):
    """Two functions want to be the same task; give one of them another name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name, self.first, self.second = name, first, second
        super().__init__(
            f"two tasks are named {name}: {first} and {second}; give one of them another name="
        )


class OptionInvalid(TaskdError, ValueError):
    """An option of a task, of an enqueue or of `configure` cannot have this value."""

    def __init__(self, option: str, value: object, reason: str) -> None:
        self.option, self.value, self.reason = option, value, reason
        super().__init__(f"{option}={reprlib.repr(value)} {reason}")


class HookInvalid(TaskdError, ValueError):
    """A thing cannot be a hook, or a hook did what it may not; the text names it and the remedy."""


class TaskUnknown(TaskdError, LookupError):
    """No function is found under a task's name; correct the name, or deploy the code."""

    def __init__(self, name: str, reason: str, nearest: str | None = None) -> None:
        self.name, self.reason, self.nearest = name, reason, nearest
        hint = f" (did you mean {nearest}?)" if nearest else ""
        super().__init__(f"unknown task {name}: {reason}{hint}")


class TaskRefused(TaskdError):
    """A task lies outside of the configured `imports`, so it is neither run nor imported."""

    def __init__(self, name: str, module: str, imports: tuple[str, ...]) -> None:
        self.name, self.module, self.imports = name, module, imports
        allowed = f" ({', '.join(imports)})" if imports else ", which is empty"
        found = "it" if name == module or name.startswith(f"{module}.") else f"module {module}"
        super().__init__(
            f"{name} is not run: {found} lies outside of imports{allowed}; "
            "what is to be run must be in a module that imports names, or below one"
        )


class TaskImportFailed(TaskdError):
    """A task's module cannot be imported; mend it at `place` (file:line, if that is known)."""

    def __init__(self, module: str, place: str | None, cause: str) -> None:
        self.module, self.place, self.cause = module, place, cause
        super().__init__(f"{module} cannot be imported: {f'{place}: ' if place else ''}{cause}")


class ArgumentsMismatch(TaskdError, TypeError):
    """The arguments do not fit the function's signature; nothing has been called or stored."""


class NotJson(TaskdError, ValueError):
    """A value cannot be stored as JSON; `place` leads to it: `argument 2: items[3].when`."""

    def __init__(self, place: str, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"{place}: {problem}")


class TooLarge(TaskdError, ValueError):
    """Arguments or a result take more room than they may; `size` and `limit` are bytes."""

    def __init__(self, what: str, size: int, limit: int, remedy: str) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"{what}: {size:,} bytes of JSON are more than the allowed {limit:,}; {remedy}"
        )


class ParentUnknown(TaskdError, LookupError):
    """A job is to come after one that is not seen: a wrong id, purged by age, or not committed.

    A REPEATABLE READ or SERIALIZABLE transaction sees no job that was enqueued elsewhere after its
    first statement: enqueue the parent on the same connection, or begin anew.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: a job can only come after one that your transaction sees; this one is of "
            "another database, has gone from the history, has not been committed, or was enqueued "
            "after your transaction began (at REPEATABLE READ and above)"
        )


class DependsOnItself(TaskdError, ValueError):
    """Calls of a flow come after each other in a circle; take one of the dependencies out."""


class ConnectionUnfit(TaskdError, TypeError):
    """What was passed as `connection` is not an open, synchronous psycopg connection."""


# --- handles on jobs ----------------------------------------------------------------------------


class ClaimUnreadable(TaskdError):
    """Claimed jobs cannot be decoded together; read them one by one, and fail the bad ones."""


class JobUnknown(TaskdError, LookupError):
    """The database knows no such job: never committed, of another database, or dropped by age."""

    def __init__(self, job_id: int, where: str) -> None:
        self.job_id, self.where = job_id, where
        super().__init__(
            f"job {job_id} is unknown to {where}: the transaction that enqueued it has not "
            "committed, it belongs to another database, or its history has been dropped"
        )


class NoResult(TaskdError):
    """A job has no result to give; the subclass says why."""


class JobFailed(NoResult):
    """A job ended as failed; `error` is one sentence, `traceback` the worker's, if it has one."""

    def __init__(self, job_id: int, task: str, error: str, traceback: str | None) -> None:
        self.job_id, self.task, self.error, self.traceback = job_id, task, error, traceback
        super().__init__(f"job {job_id} ({task}) failed: {error}")
        if traceback:
            self.add_note(f"In the worker:\n{traceback}")


class JobWasCancelled(NoResult):
    """A job ended as cancelled; `reason` says why, if anybody said."""

    def __init__(self, job_id: int, task: str, reason: str | None) -> None:
        self.job_id, self.task, self.reason = job_id, task, reason
        super().__init__(f"job {job_id} ({task}) was cancelled" + (f": {reason}" if reason else ""))


class ResultNotReady(NoResult, TimeoutError):
    """A job has not ended within the time given; it goes on, ask again later."""

    def __init__(self, job_id: int, state: str, seconds: float) -> None:
        self.job_id, self.state, self.seconds = job_id, state, seconds
        super().__init__(f"job {job_id} is still {state} after {seconds:g} s")


class ResultExpired(NoResult):
    """A job succeeded and returned something that is no longer kept; see `retention.results`."""

    def __init__(self, job_id: int, task: str) -> None:
        self.job_id, self.task = job_id, task
        super().__init__(
            f"job {job_id} ({task}) succeeded, but its result is no longer kept: raise "
            "retention.results to have results longer"
        )


class WorkerLost(TaskdError):
    """A job failed because its workers died under it; what a failure handler is given then."""


class NoCurrentJob(TaskdError, LookupError):
    """`current_job()` was called where no job runs; call it inside a task that a worker runs."""

    def __init__(self) -> None:
        super().__init__(
            "no job runs here: current_job() is for code that a worker runs as a job, "
            "in the job's own thread or greenlet"
        )


class TransactionUsed(TaskdError):
    """A job that has ended in its own transaction asks for another; write everything in one."""

    def __init__(self, job_id: int) -> None:
        super().__init__(
            f"job {job_id} has ended in its own transaction already: write all in one transaction"
        )


# --- what a task raises to steer its own job ----------------------------------------------------


class JobSignal(Exception):
    """The root of what a task may raise to say how its attempt ends."""


class RetryLater(JobSignal):
    """Raise it in a task to be run again after `seconds`; it uses up one of the job's retries."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        self.seconds = _pause("RetryLater", seconds)
        self.reason = reason
        super().__init__(reason or f"again in {self.seconds:g} s")


class Snooze(JobSignal):
    """Raise it in a task to be run again after `seconds`, as if this attempt had not been."""

    def __init__(self, seconds: float) -> None:
        self.seconds = _pause("Snooze", seconds)
        super().__init__(f"for {self.seconds:g} s")


class Cancel(JobSignal):
    """Raise it in a task to end the job as cancelled; `reason` is kept with the job."""

    def __init__(self, reason: str = "cancelled by its task") -> None:
        self.reason = reason
        super().__init__(reason)


def _pause(signal: str, seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise OptionInvalid(f"{signal}: seconds", seconds, "is not a number of seconds")
    if not 0 <= seconds <= MAX_PAUSE:
        raise OptionInvalid(f"{signal}: seconds", seconds, f"is not between 0 and {MAX_PAUSE:.0f}")
    return float(seconds)


# --- what is raised inside a running job --------------------------------------------------------


class Interrupt(BaseException):
    """The root of what a worker raises inside a job to end it.

    No subclass of Exception, so that `except Exception` in a task does not swallow it; clean up in
    `finally` or `with`, and let it pass.
    """


class JobTimeout(Interrupt):
    """The job has run for longer than its timeout; it fails, or is retried if it has retries."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"still running after its timeout of {seconds:g} s")


class HubBlocked(JobTimeout):
    """The job has let no other job of its greenlet worker run for `seconds`; as JobTimeout.

    Let it sleep or wait now and then, or move it to a process pool, if it computes.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.args = (f"let no other job of its worker run for {seconds:.1f} s",)


class JobInterrupted(Interrupt):
    """The worker stops before the job is done; it goes back to its queue, uncharged."""

    def __init__(self, reason: str = "the worker stops") -> None:
        super().__init__(reason)


class JobCancelled(Interrupt):
    """Somebody cancelled the job while it ran; it ends as cancelled."""

    def __init__(self, reason: str = "cancelled while it ran") -> None:
        self.reason = reason
        super().__init__(reason)


class JobLost(Interrupt):
    """The job was given to somebody else meanwhile, so it cannot end here; its writes roll back."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} was given to another worker meanwhile")


class HookTimeout(Interrupt):
    """A hook has run for longer than it may; what it was called for goes on, or fails, without."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"still running after the {seconds:g} s that it may take")
