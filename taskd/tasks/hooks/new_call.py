"""One call on its way into the store, as middleware sees and changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, Unpack

from taskd.errors import OptionInvalid
from taskd.tasks.hooks.headers import check_headers
from taskd.tasks.options import Defaults, JobOptions, Placement, read_placement
from taskd.tasks.retry import Retry

if TYPE_CHECKING:
    from taskd.tasks.calls import Target

# Where an option stands that is not a field of its own name.
_FIELDS = {
    "retry": ("retries",),
    "delay": ("delay", "run_at"),
    "run_at": ("delay", "run_at"),
    "unique_until": ("unique",),
    "on_conflict": ("unique",),
    "resources": ("needs",),
    "on_parent_failure": ("run_if_failed",),
    "expires": (),
}
_EXPIRES = ("expires", "expires_in")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call of a task that is about to become a job.

    `placement` has its options: queue, priority, timeout, retries, delay, run_at. The methods give
    back a changed call.
    """

    target: Target
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    placement: Placement
    headers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.headers:
            check_headers(self.headers)

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.target.name

    def with_arguments(self, *args: Any, **kwargs: Any) -> Self:
        """The call with these arguments instead; they are checked when it is stored."""
        return replace(self, args=args, kwargs=kwargs)

    def with_options(self, **options: Unpack[JobOptions]) -> Self:
        """The call with these options as well; see JobOptions. Raises OptionInvalid."""
        return replace(self, placement=_changed(self.placement, options))

    def with_headers(self, **headers: Any) -> Self:
        """The call with these headers as well: JSON values, 8 KiB together.

        Raises NotJson and TooLarge.
        """
        return replace(self, headers={**self.headers, **headers})

    @property
    def full_placement(self) -> Placement:
        """The placement with the headers in it, as the store takes it."""
        if not self.headers:
            return self.placement
        extra = {**self.placement.extra, "headers": dict(self.headers)}
        return replace(self.placement, extra=extra)


def _changed(placement: Placement, options: JobOptions) -> Placement:
    if "connection" in options:
        raise OptionInvalid("connection", options["connection"], "is settled: the call has one")
    defaults = Defaults(
        queue=placement.queue,
        priority=placement.priority,
        timeout=placement.timeout,
        retry=Retry(max=placement.retries),
        unique=placement.unique,
        needs=placement.needs,
    )
    new = read_placement(defaults, options)
    fields = {name for option in options for name in _FIELDS.get(option, (option,))}
    taken: dict[str, Any] = {name: getattr(new, name) for name in fields}
    if "expires" in options:
        kept = {key: value for key, value in placement.extra.items() if key not in _EXPIRES}
        taken["extra"] = {**kept, **new.extra}
    return replace(placement, **taken)
