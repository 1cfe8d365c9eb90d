"""Flows: jobs that come after each other, enqueued together in one round trip.

    chain(a, b, c)      one after the other
    group(a, b, c)      side by side
    chord(group, d)     d when all of the group are done

A part of a flow is a call (`task.call(…)`) or again a flow. A call object is one job: used in two
places it comes after both. Once a job has failed or was cancelled, those after it are cancelled,
unless they say on_parent_failure="run".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from taskd.errors import DependsOnItself, OptionInvalid
from taskd.store.rows import NewGraph, NewJob
from taskd.tasks.calls import Call, Target, as_new_job, store_batches
from taskd.tasks.context import running_id
from taskd.tasks.hooks.new_call import NewCall
from taskd.tasks.options import Placement

if TYPE_CHECKING:
    from taskd.store.job_transaction import CallersConnection
    from taskd.tasks.flow_jobs import FlowJobs
    from taskd.tasks.job import Job

R_co = TypeVar("R_co", covariant=True)


class TaskCall(Generic[R_co]):
    """A call of a task that is not enqueued yet; made by `Task.call`. An object is one job."""

    __slots__ = ("_parents", "call", "placement", "target")

    def __init__(self, target: Target, call: Call, placement: Placement) -> None:
        self.target = target
        self.call = call
        self.placement = placement
        self._parents: list[TaskCall[Any]] = []

    def after(self, *parts: TaskCall[Any] | Chain | Group) -> TaskCall[R_co]:
        """Let it come after other parts of the same flow, too; itself, so that calls can follow."""
        for part in parts:
            self._parents += _checked(part).ends
        return self

    @property
    def as_new(self) -> NewCall:
        """As it goes through the middleware into the store."""
        args, kwargs = self.call
        return NewCall(target=self.target, args=args, kwargs=kwargs, placement=self.placement)

    @property
    def ends(self) -> tuple[TaskCall[Any], ...]:
        """Itself: a call is the smallest flow."""
        return (self,)

    def edges(self, after: Sequence[TaskCall[Any]]) -> Iterator[Edge]:
        """Its own place behind others."""
        yield self, (*after, *self._parents)

    def __repr__(self) -> str:
        return f"<call of {self.target.name}>"


Edge = tuple[TaskCall[Any], tuple[TaskCall[Any], ...]]
"""A call, and the calls that it comes after."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts one after the other; made by `chain`."""

    parts: tuple[TaskCall[Any] | Chain | Group, ...]

    @property
    def ends(self) -> tuple[TaskCall[Any], ...]:
        """The calls whose end is that of the chain."""
        return self.parts[-1].ends

    def edges(self, after: Sequence[TaskCall[Any]]) -> Iterator[Edge]:
        """Each part behind the ends of the one before it."""
        for part in self.parts:
            yield from part.edges(after)
            after = part.ends

    def enqueue(self, connection: CallersConnection | None = None) -> FlowJobs:
        """Enqueue all of it in one round trip; `FlowJobs.last` is the job at its end.

        With `connection` the jobs commit or vanish with that psycopg connection's transaction.
        Raises as `Task.enqueue` does, and DependsOnItself.
        """
        return enqueue_flow(self, connection)


@dataclass(frozen=True, slots=True)
class Group:
    """Parts side by side; made by `group`."""

    parts: tuple[TaskCall[Any] | Chain | Group, ...]

    @property
    def ends(self) -> tuple[TaskCall[Any], ...]:
        """The ends of all parts."""
        return tuple(end for part in self.parts for end in part.ends)

    def edges(self, after: Sequence[TaskCall[Any]]) -> Iterator[Edge]:
        """All parts behind the same calls."""
        for part in self.parts:
            yield from part.edges(after)

    def enqueue(self, connection: CallersConnection | None = None) -> FlowJobs:
        """Enqueue all of it in one round trip; see `Chain.enqueue`."""
        return enqueue_flow(self, connection)


def chain(*parts: TaskCall[Any] | Chain | Group) -> Chain:
    """Let parts run one after the other: `chain(fetch.call("a"), parse.call()).enqueue()`."""
    return Chain(_parts("chain", parts))


def group(
    *parts: TaskCall[Any] | Chain | Group | Iterable[TaskCall[Any] | Chain | Group],
) -> Group:
    """Let parts run side by side: `group(fetch.call(url) for url in urls).enqueue()`."""
    if len(parts) == 1 and not isinstance(parts[0], TaskCall | Chain | Group):
        (iterable,) = parts
        if isinstance(iterable, Iterable):
            return Group(_parts("group", iterable))
    return Group(_parts("group", parts))


def chord(
    header: Group | Iterable[TaskCall[Any] | Chain | Group],
    finalizer: TaskCall[Any] | Chain | Group,
) -> Chain:
    """Let a finalizer run once all parts of the header are done, retries included."""
    return chain(header if isinstance(header, Group) else group(header), finalizer)


def _parts(option: str, parts: Iterable[Any]) -> tuple[TaskCall[Any] | Chain | Group, ...]:
    found = tuple(_checked(part) for part in parts)
    if not found:
        raise OptionInvalid(option, (), "has no parts: give calls, such as fetch.call(url)")
    return found


def _checked(part: Any) -> TaskCall[Any] | Chain | Group:
    if not isinstance(part, TaskCall | Chain | Group):
        raise OptionInvalid("part of a flow", part, "is no call: write task.call(…)")
    return part


def enqueue_flow(flow: Chain | Group, connection: CallersConnection | None) -> FlowJobs:
    """Store all jobs of a flow, all or none; see `Chain.enqueue`."""
    from taskd.tasks.flow_jobs import FlowJobs
    from taskd.tasks.hooks.enqueueing import store_through_middleware

    calls = _in_order(_parents_of_each(flow))
    numbers = {call: number for number, call in enumerate(calls, start=1)}
    parents = [[-numbers[parent] for parent in before] for before in calls.values()]

    def store(new: Sequence[NewCall], connection: CallersConnection | None) -> list[Job[Any]]:
        jobs = tuple(map(_as_job, new, parents))
        return store_batches([NewGraph(jobs, self_id=running_id())], connection)

    handles = store_through_middleware([call.as_new for call in calls], connection, store)
    ends = [handles[numbers[end] - 1] for end in dict.fromkeys(flow.ends)]
    return FlowJobs(jobs=tuple(handles), ends=tuple(ends))


Parents = dict[TaskCall[Any], dict[TaskCall[Any], None]]
"""Calls, each with those that it comes after; both in the order in which they were named."""


def _parents_of_each(flow: Chain | Group) -> Parents:
    found: Parents = {}
    for call, parents in flow.edges(()):
        found.setdefault(call, {}).update(dict.fromkeys(parents))
    for call, known in found.items():
        for parent in known:
            if parent not in found:
                raise OptionInvalid("after", parent, f"is no part of the flow that {call!r} is of")
    return found


def _in_order(parents: Parents) -> Parents:
    """The same, each call behind those it comes after; raises DependsOnItself."""
    children: dict[TaskCall[Any], list[TaskCall[Any]]] = {}
    waiting = {call: len(before) for call, before in parents.items()}
    for call, before in parents.items():
        for parent in before:
            children.setdefault(parent, []).append(call)
    ready = [call for call, count in waiting.items() if not count]
    for call in ready:  # grows as it is read
        for child in children.get(call, ()):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    if len(ready) < len(parents):
        circle = [repr(call) for call, count in waiting.items() if count]
        raise DependsOnItself(
            f"{', '.join(circle[:5])} would come after themselves: take a dependency out; a call "
            "object is one job, so make another with task.call(…) to run it twice"
        )
    return {call: parents[call] for call in ready}


def _as_job(new: NewCall, parents: list[int]) -> NewJob:
    job = as_new_job(new)
    return replace(job, parents=(*parents, *job.parents), is_grouped=True)
