"""The calls of one enqueue on their way through the middleware into the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from taskd.errors import HookInvalid
from taskd.tasks.client import default_client
from taskd.tasks.hooks.new_call import NewCall
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.job import Job
from taskd.tasks.options import JobOptions

if TYPE_CHECKING:
    from taskd.store.job_transaction import CallersConnection
    from taskd.store.jobs import AnyConnection
    from taskd.tasks.hooks.middleware import Middleware


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueCall:
    """One `enqueue`, `enqueue_many`, or `enqueue` of a flow: one call, or many.

    `connection` is in the transaction that they will be stored in; what is written there commits
    or vanishes with them. The methods give back a changed one.
    """

    calls: tuple[NewCall, ...]
    connection: AnyConnection

    def with_headers(self, **headers: Any) -> Self:
        """All calls with these headers as well: JSON values, 8 KiB together.

        Raises NotJson and TooLarge.
        """
        return self.each(lambda call: call.with_headers(**headers))

    def with_options(self, **options: Unpack[JobOptions]) -> Self:
        """All calls with these options as well; see JobOptions. Raises OptionInvalid."""
        return self.each(lambda call: call.with_options(**options))

    def each(self, change: Callable[[NewCall], NewCall]) -> Self:
        """The calls as `change` gives them back."""
        return replace(self, calls=tuple(change(call) for call in self.calls))


Store = Callable[[Sequence[NewCall], "CallersConnection | None"], list[Job[Any]]]
"""Stores calls, in the transaction of a connection if one is given; the jobs, in order."""

_Next = Callable[[EnqueueCall], list[Job[Any]]]


def store_through_middleware(
    calls: Sequence[NewCall], connection: CallersConnection | None, store: Store
) -> list[Job[Any]]:
    """Store calls as the middleware lets them through, all or none; the jobs, in order.

    Where there is middleware but no connection of the caller's, in a transaction of its own. Raises
    what the middleware or the store raises, and HookInvalid for middleware that loses calls.
    """
    if not hooks.around_enqueue:
        return store(calls, connection)
    step: _Next = partial(_store, store, is_own=connection is None)
    for one in reversed(hooks.around_enqueue.hooks):
        step = partial(_pass, one, step)
    with default_client().all_or_nothing(connection) as inside:
        return step(EnqueueCall(calls=tuple(calls), connection=inside))


def _store(store: Store, call: EnqueueCall, is_own: bool) -> list[Job[Any]]:
    """What psycopg raises on a caller's connection is the caller's."""
    from taskd.store.connect import translate_errors

    with translate_errors() if is_own else nullcontext():
        return store(call.calls, call.connection)


def _pass(one: Middleware, step: _Next, call: EnqueueCall) -> list[Job[Any]]:
    """Let one middleware have the call, and check what it hands on and gives back."""
    count, method = len(call.calls), f"{type(one).__qualname__}.enqueue"

    def call_next(changed: EnqueueCall) -> list[Job[Any]]:
        if not isinstance(changed, EnqueueCall) or len(changed.calls) != count:
            raise HookInvalid(f"{method} must call call_next with an EnqueueCall of {count} calls")
        return step(changed)

    jobs = one.enqueue(call, call_next)
    if isinstance(jobs, list) and len(jobs) == count and all(isinstance(j, Job) for j in jobs):
        return jobs
    raise HookInvalid(
        f"{method} must give back the jobs that call_next gives: end it with "
        "`return call_next(call)`, or raise to refuse"
    )
