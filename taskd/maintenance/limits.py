"""Tells the database which limits this host's file says, and lets those hold that are wanted.

The first time before the master hears that the database is open, so that no worker of this host
claims under other limits; then after each reload, and when the host's row is a new one.

When another host has come or gone, what others want may hold. A look each five minutes finds the
one that came and went between two beats. Two sooner ones find the jobs that have got by: the host
that has declared something looks, and if one has gone, those that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf

from taskd.clock import monotonic
from taskd.config.queues import LimitSettings, QueueSettings
from taskd.config.rates import parse_rate
from taskd.config.settings import Settings
from taskd.maintenance.host import ThisHost
from taskd.store.connect import Connection
from taskd.store.limits import Limit, declare_limits, settle_limits
from taskd.store.needs import Whose

LOOK_SECONDS = 300.0
LOOKS_AFTER_CHANGE = (5.0, 60.0)
"""Jobs that transactions have enqueued which did not know of the change have got by."""


class Limits:
    """The chore that declares limits whenever they may differ from what was declared."""

    def __init__(self, host: ThisHost, settings: Settings, hurry: Callable[[], None]) -> None:
        self._host = host
        self._hurry = hurry
        # Each is replaced as a whole, so that no thread sees half of it.
        self._wanted = limits_of(settings)
        self._declared: tuple[int, dict[str, Limit]] | None = None
        self._others: frozenset[int] = frozenset()
        self._settled_with: frozenset[int] = frozenset()
        self._look_at = -inf
        self._looks_planned: list[float] = []

    def take_settings(self, settings: Settings) -> None:
        """The configuration has been read again. Any thread may call."""
        self._wanted = limits_of(settings)
        self._hurry()

    def see_hosts(self, others: Collection[int]) -> None:
        """These other hosts live."""
        self._others = frozenset(others)

    def due(self) -> float:
        """At once, if there is something to declare, or another host has come or gone."""
        is_settled = self._is_declared() and self._settled_with == self._others
        return self._look_at if is_settled else -inf

    def run(self, connection: Connection) -> None:
        """Declare what this row of the host has not declared, and settle."""
        others = self._others
        if not self._is_declared():
            self.declare(connection, self._host.id)
        elif self._settled_with - others:
            self._plan_looks()
        began = monotonic()
        settle_limits(connection)
        self._settled_with = others
        self._looks_planned = [at for at in self._looks_planned if at > began]
        self._look_at = min([began + LOOK_SECONDS, *self._looks_planned])

    def declare(self, connection: Connection, host: int) -> None:
        """Declare it, if need be for a host that nobody knows of yet."""
        wanted = self._wanted
        declare_limits(connection, host, wanted)
        self._declared = host, wanted
        self._plan_looks()

    def _plan_looks(self) -> None:
        """Settle at once, and look for jobs that have got by."""
        now = monotonic()
        self._looks_planned = [now + seconds for seconds in LOOKS_AFTER_CHANGE]
        self._look_at = -inf

    def _is_declared(self) -> bool:
        if self._declared is None:
            return False
        host, limits = self._declared
        return host == self._host.id and limits is self._wanted


def limits_of(settings: Settings) -> dict[str, Limit]:
    """All limits of the configuration, under the names that the store has for them."""
    queues = {Whose.QUEUE.limit(name): _limit(queue) for name, queue in settings.queues.items()}
    keys = {Whose.KEY.limit(name): _limit(limit) for name, limit in settings.limits.items()}
    return {name: limit for name, limit in {**queues, **keys}.items() if limit != Limit()}


def _limit(said: QueueSettings | LimitSettings) -> Limit:
    if said.rate is None:
        return Limit(said.concurrency)
    return Limit(said.concurrency, parse_rate(said.rate), said.burst)
