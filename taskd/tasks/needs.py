"""What the jobs of a task need, and what that comes to for each call.

Said once for the task, or computed from the arguments of a call where those are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from taskd.errors import OptionInvalid
from taskd.store.needs import Whose
from taskd.tasks.failure import error_text
from taskd.tasks.fair import FairBy, fair_key, read_fair_by
from taskd.tasks.resources import Bounds, Kind, Resource, read_bounds, resource_of
from taskd.tasks.signature import CallShape
from taskd.tasks.unique import made_where_the_task_is

Resources = Iterable[Resource] | Callable[..., Iterable[Resource]]
OnRetry = Literal["hold", "release"]

_LIMITED = ("concurrency", "rate", "burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNeeds:
    """What one job needs, as the store takes it: fields of a NewJob, and a part of its extra."""

    res: tuple[str, ...] = ()
    need: tuple[int, ...] = ()
    limits: dict[str, list[Any]] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As plain data: what it says."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


NOTHING = JobNeeds()


def needs_told(described: Mapping[str, Any]) -> JobNeeds:
    """What `JobNeeds.describe` has described."""
    return JobNeeds(
        res=tuple(described.get("res", ())),
        need=tuple(described.get("need", ())),
        limits=described.get("limits"),
        extra=described.get("extra", {}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the jobs of a task need, between whom they share, and whether a retry holds it."""

    resources: tuple[Resource, ...] | Callable[..., Iterable[Resource]] = ()
    bounds: Bounds | None = None
    """The limit of the task itself."""
    fair_by: FairBy | None = None
    on_retry: OnRetry | None = None
    """None: hold what is exclusive or shared, and release what only counts."""

    def of_calls(
        self, task: str, shape: CallShape | None, calls: Sequence[tuple[Any, Any]]
    ) -> list[JobNeeds] | None:
        """What each call needs; None if nothing is said of that.

        Raises OptionInvalid for what is no resource or key, and for what cannot be made here;
        ArgumentsMismatch for arguments that do not fit.
        """
        if self == NO_NEEDS:
            return None
        if not callable(self.resources) and self.fair_by is None:
            return [self._of(task, self.resources, None)] * len(calls)
        return [
            self._of(task, self._resources(task, *call), fair_key(self.fair_by, task, shape, *call))
            for call in calls
        ]

    def describe(self) -> dict[str, Any] | None:
        """As plain data, what is said of it; a value None: a function makes it."""
        if self == NO_NEEDS:
            return None
        told: dict[str, Any] = {} if self.bounds is None else self.bounds.describe()
        if callable(self.resources):
            told["resources"] = None
        elif self.resources:
            told["resources"] = [one.describe() for one in self.resources]
        if self.fair_by is not None:
            told["fair_by"] = self.fair_by if isinstance(self.fair_by, str) else None
        if self.on_retry is not None:
            told["on_retry"] = self.on_retry
        return told

    def _resources(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Resource, ...]:
        if not callable(self.resources):
            return self.resources
        if self.resources is made_where_the_task_is:
            raise OptionInvalid("resources", task, _OUT_OF_REACH)
        try:
            made = self.resources(*args, **kwargs)
            return _checked("is what the function returned, and", made)
        except OptionInvalid:
            raise
        except Exception as error:  # the function is the user's
            raise OptionInvalid(
                "resources", self.resources, f"failed: {error_text(error)}"
            ) from error

    def _of(self, task: str, resources: Iterable[Resource], fair: str | None) -> JobNeeds:
        units: dict[str, int] = {}
        limits: dict[str, list[Any]] = {}
        for one in resources:
            units[one.key] = max(one.units, units.get(one.key, 0))
            if one.bounds is not None:
                limits[one.key] = one.bounds.numbers()
        holds = any(one.kind is not Kind.LIMIT for one in resources)
        if self.bounds is not None:
            units[Whose.TASK.limit(task)] = 1
            limits[Whose.TASK.limit(task)] = self.bounds.numbers()
        extra = {} if fair is None else {"fair": fair}
        if (self.on_retry or ("hold" if holds else "release")) == "release":
            extra["on_retry"] = "release"
        return JobNeeds(
            res=tuple(units), need=tuple(units.values()), limits=limits or None, extra=extra
        )


NO_NEEDS = Needs()
"""Of a task that says nothing of it."""

_OUT_OF_REACH = (
    "has resources that a function makes, and only its module knows that function: import the task "
    "and enqueue or schedule it there, or give those of this job with resources= "
    "(on the command line --exclusive, --shared, --limit)"
)


def read_needs(options: Mapping[str, Any]) -> Needs:
    """Check what `@task` was given of it; raises OptionInvalid."""
    return Needs(
        resources=_read_resources(options.get("resources")),
        bounds=read_bounds(options),
        fair_by=read_fair_by(options.get("fair_by")),
        on_retry=_read_on_retry(options.get("on_retry")),
    )


def read_job_needs(options: Mapping[str, Any], default: Needs) -> Needs:
    """Check the resources that an enqueue was given; the rest is the task's.

    Raises OptionInvalid.
    """
    if "resources" not in options:
        return default
    return replace(default, resources=_read_resources(options["resources"]))


def needs_offered(described: Mapping[str, Any] | None) -> Needs:
    """What `Needs.describe` has described."""
    if described is None:
        return NO_NEEDS
    bounds = {name: described[name] for name in _LIMITED if name in described}
    told = described.get("resources", ())
    fair_by = described.get("fair_by", "")
    return Needs(
        resources=made_where_the_task_is if told is None else tuple(map(resource_of, told)),
        bounds=Bounds(**bounds) if bounds else None,
        fair_by=made_where_the_task_is if fair_by is None else fair_by or None,
        on_retry=described.get("on_retry"),
    )


def _read_resources(value: object) -> tuple[Resource, ...] | Callable[..., Iterable[Resource]]:
    if value is None:
        return ()
    if callable(value):
        return value
    return _checked("", value)


def _checked(preface: str, value: object) -> tuple[Resource, ...]:
    """A list of resources as a tuple, of which none contradicts another."""
    remedy = 'is not a list of resources: say [exclusive("…"), shared("…"), limit("…")]'
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionInvalid("resources", value, f"{preface} {remedy}".strip())
    found = tuple(value)
    bounds: dict[str, Bounds] = {}
    for one in found:
        if not isinstance(one, Resource):
            reason = 'is no resource: say exclusive("…"), shared("…") or limit("…")'
            raise OptionInvalid("resources", one, reason)
        if (
            one.bounds is not None
            and one.bounds.effect() != (known := bounds.setdefault(one.name, one.bounds)).effect()
        ):
            reason = f"says that limit {one.name!r} is {known} and that it is {one.bounds}: say one"
            raise OptionInvalid("resources", found, reason)
    return found


def _read_on_retry(value: object) -> OnRetry | None:
    match value:
        case None | "hold" | "release":
            return value
        case _:
            raise OptionInvalid("on_retry", value, 'is neither "hold" nor "release"')
