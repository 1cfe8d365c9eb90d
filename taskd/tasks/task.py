"""`@task`: a function that stays one, and can be enqueued too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from taskd.errors import NotATask, OptionInvalid
from taskd.tasks.calls import Call, Target, store_calls
from taskd.tasks.fair import check_fair_by
from taskd.tasks.flow import TaskCall
from taskd.tasks.names import check_findable, check_function, check_task_name, dotted_path
from taskd.tasks.options import (
    DEFAULTS,
    Defaults,
    JobOptions,
    Placement,
    TaskOptions,
    read_defaults,
    read_placement,
)
from taskd.tasks.registry import registry
from taskd.tasks.signature import CallShape

if TYPE_CHECKING:
    from taskd.store.job_transaction import CallersConnection
    from taskd.tasks.job import Job

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that can be enqueued under a name; called, it is the plain function.

    Made by `@task`. Enqueueing blocks for one round trip to the database.
    """

    def __init__(self, function: Callable[P, R], name: str, defaults: Defaults) -> None:
        functools.update_wrapper(self, function)
        for made in ("shape", "target", "_placement"):
            self.__dict__.pop(made, None)  # those of a task that the function wraps
        self.function = cast(FunctionType, function)
        self.name = name
        self.defaults = defaults

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return cast(R, self.function(*args, **kwargs))

    @overload
    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def enqueue(self, *args: Any, connection: CallersConnection, **kwargs: Any) -> Job[R]: ...
    def enqueue(self, *args: Any, **kwargs: Any) -> Job[R]:
        """Store a call of the function as a job, to be run by a worker.

        With `connection`, a psycopg connection, the job commits or vanishes with that connection's
        transaction. A function that has a parameter of this name itself is enqueued with
        `.options(connection=…).enqueue(…)`. Raises ArgumentsMismatch, NotJson or TooLarge for
        arguments that cannot be stored, and DatabaseError.
        """
        connection = kwargs.pop("connection", None)
        if connection is not None and "connection" in self.shape:
            raise OptionInvalid(
                "connection",
                connection,
                f"has two meanings, for {self.__name__}() has a parameter of this name: say "
                ".options(connection=…).enqueue(…) for the transaction to enqueue in, and "
                ".options().enqueue(connection=…) for the function's own",
            )
        (job,) = store_calls(self.target, [Call(args, kwargs)], self._placement, connection)
        return job

    def call(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        """A call that is part of a flow; see `chain`, `group` and `chord`."""
        return TaskCall(self.target, Call(args, kwargs), self._placement)

    def options(self, **options: Unpack[JobOptions]) -> Enqueuer[P, R]:
        """Say what is to hold for the next jobs instead of the task's own; see JobOptions.

        Raises OptionInvalid.
        """
        return Enqueuer(self, options)

    @functools.cached_property
    def shape(self) -> CallShape:
        """What arguments the function takes."""
        return CallShape(self.function)

    @functools.cached_property
    def target(self) -> Target:
        """What enqueueing needs to know; raises NotATask for the task of a script."""
        return Target(check_findable(self.name), self.defaults, self.shape)

    @functools.cached_property
    def _placement(self) -> Placement:
        """Where and when its jobs wait if their enqueue says nothing else."""
        return read_placement(self.defaults, {})

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __reduce__(self) -> str:
        return self.__qualname__  # pickled by reference, as functions are

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]


class Enqueuer(Generic[P, R]):
    """A task with options for the jobs to come; made by `Task.options`."""

    __slots__ = ("_connection", "_placement", "_task")

    def __init__(self, task: Task[P, R], options: JobOptions) -> None:
        self._task = task
        self._placement = read_placement(task.defaults, options)
        self._connection = options.get("connection")

    @property
    def remedy(self) -> str:
        """What to write where a task is wanted, and not one with options."""
        name = self._task.__name__
        return (
            f"{name}.options(…) is a task with options: call .enqueue(…) of it, or give them to "
            f"many as keywords: enqueue_many({name}, …, delay=30)"
        )

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a call as a job; every keyword is the function's own. Raises as Task.enqueue."""
        calls = [Call(args, kwargs)]
        (job,) = store_calls(self._task.target, calls, self._placement, self._connection)
        return job

    def call(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        """A call that is part of a flow, with these options. Raises OptionInvalid for connection.

        The connection is one of the whole flow: give it to the flow's `enqueue`.
        """
        if self._connection is not None:
            raise OptionInvalid(
                "connection", self._connection, "is for the whole flow: give it to its enqueue"
            )
        return TaskCall(self._task.target, Call(args, kwargs), self._placement)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a task, with or without options; see TaskOptions.

    The function must be a plain `def` at the top level of a module, so that workers can import it.
    Raises NotATask for any other, OptionInvalid, and TaskNameTaken.
    """
    if function is None:
        defaults = read_defaults(options)
        name = options.get("name")
        if name is not None:
            name = check_task_name("name", name)
        return lambda function: _make(function, name, defaults)
    return _make(function, None, DEFAULTS)


def _make(function: object, name: str | None, defaults: Defaults) -> Task[..., Any]:
    if isinstance(function, Task):
        raise NotATask(f"{function.name} is a task already: decorate it once")
    what = getattr(function, "__qualname__", None) or repr(function)
    plain = check_function(function, str(what))
    made: Task[..., Any] = Task(plain, name or dotted_path(plain), defaults)
    if defaults.needs.fair_by is not None:
        check_fair_by(defaults.needs.fair_by, made.shape)
    if defaults.schedules:
        _check_schedules(made)
    registry.add(made)
    return made


def _check_schedules(made: Task[..., Any]) -> None:
    from taskd.tasks.own_schedules import check_schedules, describe_schedules

    check_findable(made.name)
    others = [one for one in registry if one.defaults.schedules and one.name != made.name]
    names = {one["name"]: other.name for other in others for one in describe_schedules(other)}
    check_schedules(made, names)
