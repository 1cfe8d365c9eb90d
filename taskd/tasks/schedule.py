"""When a task runs by itself: `@task(schedule=Cron("0 3 * * *", timezone="Europe/Berlin"))`.

Each schedule answers which of its slots comes next, from the time it is told and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from taskd.config.cron import check_cron, check_timezone
from taskd.config.names import check_schedule_name
from taskd.config.schedules import (
    ALL_NEEDS_QUEUE,
    MOST_MISSED,
    PLACEMENT,
    CatchUp,
    Overlap,
)
from taskd.config.sections import YEAR
from taskd.config.units import parse_duration
from taskd.errors import OptionInvalid
from taskd.tasks.options import DEFAULTS, read_placement
from taskd.tasks.wall_clock import next_time

NEWER = "is of a kind that only a newer taskd knows"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Schedule(ABC):
    """What Cron, Every and At have in common.

    `name` is what the CLI calls it; left out, it is the task's name. `args` and `kwargs` are what
    the task is called with; `queue`, `priority`, `timeout`, `retry` (how many) and `expires`
    (seconds) hold instead of the task's own. `catch_up` says what becomes of slots that were missed
    while no daemon ran: "none", "one" job for all of them, or "all", at most the last
    `catch_up_limit`. With `overlap` "skip" a slot passes without a job while the last one has not
    ended. Raises OptionInvalid.
    """

    _: KW_ONLY
    name: str | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    priority: int | None = None
    timeout: float | None = None
    retry: int | None = None
    expires: float | None = None
    catch_up: Literal["none", "one", "all"] = "one"
    catch_up_limit: int = 100
    overlap: Literal["skip", "queue"] = "skip"

    def __post_init__(self) -> None:
        self._check_time()
        if self.name is not None:
            self._check("name", self.name, check_schedule_name)
        if isinstance(self.args, str) or not isinstance(self.args, Sequence):
            raise self._invalid("args", self.args, "is not a list of arguments")
        if not isinstance(self.kwargs, Mapping):
            raise self._invalid("kwargs", self.kwargs, "is not a mapping of arguments by name")
        self._check_choice("catch_up", self.catch_up, CatchUp)
        self._check_choice("overlap", self.overlap, Overlap)
        limit = self.catch_up_limit
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_MISSED:
            raise self._invalid("catch_up_limit", limit, f"is not between 1 and {MOST_MISSED}")
        if self.catch_up == "all" and self.overlap == "skip":
            raise self._invalid("catch_up", self.catch_up, ALL_NEEDS_QUEUE)
        read_placement(DEFAULTS, self.placement)

    # --- time ------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """What says when, as plain data; `schedule_of` reads it."""

    @abstractmethod
    def next_after(self, moment: datetime) -> datetime | None:
        """The first slot after a moment, in UTC; None if there is none."""

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last `limit` of the slots after `after` and not after `until`, oldest first.

        What it costs grows with `limit`, not with the time between.
        """
        window = _FIRST_WINDOW
        while True:
            start = max(after, until - window)
            found = deque(_up_to(until, self.next_after, start), maxlen=limit)
            if len(found) == limit or start == after:
                return list(found)
            window *= 4

    @abstractmethod
    def _check_time(self) -> None: ...

    # --- what is enqueued ------------------------------------------------------------------------

    @property
    def placement(self) -> dict[str, Any]:
        """What holds instead of the task's own options."""
        given = {name: getattr(self, name) for name in PLACEMENT}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def options(self) -> dict[str, Any]:
        """What holds for its jobs and its slots, as plain data."""
        return {
            **self.placement,
            "catch_up": str(self.catch_up),
            "catch_up_limit": self.catch_up_limit,
            "overlap": str(self.overlap),
        }

    # --- faults ----------------------------------------------------------------------------------

    def _check(self, option: str, value: object, check: Callable[[str], object]) -> None:
        if not isinstance(value, str):
            raise self._invalid(option, value, "is no text")
        try:
            check(value)
        except ValueError as error:
            raise self._invalid(option, value, str(error)) from None

    def _check_choice(self, option: str, value: object, choices: type[CatchUp | Overlap]) -> None:
        if value not in list(choices):
            raise self._invalid(option, value, f"is not one of {', '.join(choices)}")

    def _invalid(self, option: str, value: object, reason: str) -> OptionInvalid:
        return OptionInvalid(f"{type(self).__name__}: {option}", value, reason)


@dataclass(frozen=True, slots=True)
class Cron(Schedule):
    """By an expression of minute, hour, day of month, month and day of week, in a time zone.

    When the clock is changed, an expression that names minute and hour still comes once that day:
    a time that is skipped runs right after the change, one that comes twice runs the first time.
    """

    expression: str
    _: KW_ONLY
    timezone: str = "UTC"

    @property
    def spec(self) -> dict[str, Any]:
        """Expression and time zone."""
        return {"cron": " ".join(self.expression.split()), "timezone": self.timezone}

    def next_after(self, moment: datetime) -> datetime | None:
        """The first slot after a moment, in UTC."""
        from zoneinfo import ZoneInfo

        return next_time(self.expression, ZoneInfo(self.timezone), moment.astimezone(UTC))

    def _check_time(self) -> None:
        self._check("expression", self.expression, check_cron)
        self._check("timezone", self.timezone, check_timezone)


@dataclass(frozen=True, slots=True)
class Every(Schedule):
    """In equal distances: seconds, a `timedelta`, or text such as "15m".

    Its slots are the multiples of the interval since 1970-01-01T00:00Z. So they do not drift, and
    are the same on every host and after every restart.
    """

    interval: float | str | timedelta

    @property
    def seconds(self) -> float:
        """The interval."""
        if isinstance(self.interval, timedelta):
            return self.interval.total_seconds()
        return parse_duration(self.interval)

    @property
    def spec(self) -> dict[str, Any]:
        """The interval."""
        return {"every": self.seconds}

    def next_after(self, moment: datetime) -> datetime | None:
        """The first slot after a moment, in UTC."""
        return self._slot(self._count(moment) + 1)

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last `limit` of the slots after `after` and not after `until`, oldest first."""
        last = self._count(until)
        first = max(self._count(after), last - limit) + 1
        return [self._slot(count) for count in range(first, last + 1)]

    def _count(self, moment: datetime) -> int:
        """How many intervals have passed."""
        return (moment - _EPOCH) // self._step

    def _slot(self, count: int) -> datetime:
        return _EPOCH + count * self._step

    @property
    def _step(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def _check_time(self) -> None:
        try:
            seconds = self.seconds
        except ValueError as error:
            raise self._invalid("interval", self.interval, str(error)) from None
        if not 1 <= seconds <= YEAR:
            raise self._invalid("interval", self.interval, "is not between 1 s and 365 d")


@dataclass(frozen=True, slots=True)
class At(Schedule):
    """Once, at a time that must know its zone."""

    moment: datetime

    @property
    def spec(self) -> dict[str, Any]:
        """The moment, in UTC."""
        return {"run_at": self.moment.astimezone(UTC).isoformat()}

    def next_after(self, moment: datetime) -> datetime | None:
        """Its one slot, in UTC, if that is after a moment."""
        return self.moment.astimezone(UTC) if self.moment > moment else None

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Its one slot, if that is after `after` and not after `until`."""
        return [self.moment.astimezone(UTC)] if after < self.moment <= until else []

    def _check_time(self) -> None:
        if not isinstance(self.moment, datetime):
            raise self._invalid("moment", self.moment, "is not a datetime")
        if self.moment.utcoffset() is None:
            given = self.moment.isoformat()
            raise self._invalid("moment", given, "has no time zone: say datetime(…, tzinfo=…)")


def _up_to(
    until: datetime, next_after: Callable[[datetime], datetime | None], start: datetime
) -> Iterator[datetime]:
    slot = next_after(start)
    while slot is not None and slot <= until:
        yield slot
        slot = next_after(slot)


def schedule_of(spec: Mapping[str, Any]) -> Schedule:
    """A schedule with this `spec` and no more; raises OptionInvalid if that is not known here."""
    match spec:
        case {"cron": str(expression), "timezone": str(timezone)}:
            return Cron(expression, timezone=timezone)
        case {"every": int(seconds) | float(seconds)}:
            return Every(seconds)
        case {"run_at": str(moment)}:
            return At(datetime.fromisoformat(moment))
        case _:
            raise OptionInvalid("schedule", dict(spec), NEWER)
