"""What a job needs beside a worker: resources, for itself alone or shared, and limits.

A resource is a name that means something to the code, such as "repo:42". A limit is a resource that
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from taskd.config.rates import MOST_AT_ONCE, parse_rate
from taskd.errors import OptionInvalid
from taskd.store.needs import EXCLUSIVE, Whose

MAX_NAME = 200


class Kind(StrEnum):
    """How a resource is needed, by the function that says so."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers of a limit; None says nothing. `rate` is as it was written: "100/m"."""

    concurrency: int | None = None
    rate: str | None = None
    burst: int | None = None

    def numbers(self) -> list[Any]:
        """As the store takes them: concurrency, jobs per second, burst."""
        per_second = None if self.rate is None else parse_rate(self.rate)
        return [self.concurrency, per_second, self.burst]

    def effect(self) -> tuple[int | None, float | None, int | None]:
        """What it comes to, however it is written: "1/s" and "60/m", with a burst of 1 or none."""
        concurrency, per_second, burst = self.numbers()
        return concurrency, per_second, 1 if per_second is not None and burst is None else burst

    def describe(self) -> dict[str, Any]:
        """What it says, by the names under which it was said."""
        named = {"concurrency": self.concurrency, "rate": self.rate, "burst": self.burst}
        return {name: value for name, value in named.items() if value is not None}

    def __str__(self) -> str:
        parts = [] if self.concurrency is None else [f"{self.concurrency} at once"]
        if self.rate is not None:
            parts.append(
                self.rate if self.burst is None else f"{self.rate} in bursts of {self.burst}"
            )
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a job needs; made by `exclusive`, `shared` and `limit`.

    Raises OptionInvalid for what is no kind or no name, and for numbers of what is no limit.
    """

    kind: Kind
    name: str
    bounds: Bounds | None = None
    """Of a limit: the numbers that the code says, if it says some."""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            object.__setattr__(self, "kind", _kind(self.kind))
        check_name(self.kind, self.name)
        if self.bounds is not None:
            object.__setattr__(self, "bounds", self._checked_bounds(self.bounds))

    def _checked_bounds(self, bounds: object) -> Bounds | None:
        if not isinstance(bounds, Bounds):
            reason = "are no bounds: make it with limit(name, concurrency=…, rate=…, burst=…)"
            raise OptionInvalid("bounds", bounds, reason)
        if self.kind is not Kind.LIMIT:
            raise OptionInvalid(
                "bounds", bounds, f"are numbers of a limit, and this is {self.kind}"
            )
        return read_bounds(bounds.describe(), f"limit({self.name!r}): ")

    @property
    def key(self) -> str:
        """The name under which the store knows it."""
        return Whose.KEY.limit(self.name) if self.kind is Kind.LIMIT else self.name

    @property
    def units(self) -> int:
        """How much of it is needed."""
        return EXCLUSIVE if self.kind is Kind.EXCLUSIVE else 1

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        numbers = {} if self.bounds is None else self.bounds.describe()
        return {"kind": str(self.kind), "name": self.name, **numbers}

    def __str__(self) -> str:
        numbers = "" if self.bounds is None else f" ({self.bounds})"
        return f"{self.kind} {self.name}{numbers}"

    def __repr__(self) -> str:
        numbers = {} if self.bounds is None else self.bounds.describe()
        written = [repr(self.name), *(f"{name}={value!r}" for name, value in numbers.items())]
        return f"{self.kind}({', '.join(written)})"


def exclusive(name: str) -> Resource:
    """A resource that a job needs for itself alone. Raises OptionInvalid for what is no name."""
    return Resource(Kind.EXCLUSIVE, name)


def shared(name: str) -> Resource:
    """A resource that many jobs may share, and one that needs it for itself alone may not.

    Raises OptionInvalid for what is no name.
    """
    return Resource(Kind.SHARED, name)


def limit(
    name: str,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    burst: int | None = None,
) -> Resource:
    """A limit that a job counts for: `limit("stripe", concurrency=5, rate="100/m")`.

    Of all jobs that name it, on all hosts, at most `concurrency` run at once and so many begin in
    a second, minute, hour or day as `rate` says. `burst` is how many of those may begin at once
    after a quiet time; 1 if left out. What the operator says in the file goes before these numbers,
    and where nobody says any, there is no limit. Raises OptionInvalid.
    """
    return Resource(Kind.LIMIT, name, Bounds(concurrency, rate, burst))


def resource_of(described: Mapping[str, Any]) -> Resource:
    """What `Resource.describe` has described."""
    rest = {name: value for name, value in described.items() if name not in ("kind", "name")}
    return Resource(Kind(described["kind"]), described["name"], Bounds(**rest) if rest else None)


def _kind(value: object) -> Kind:
    try:
        return Kind(value)  # type: ignore[arg-type]
    except ValueError:
        reason = f"is none of {', '.join(Kind)}: make it with exclusive(), shared() or limit()"
        raise OptionInvalid("kind", value, reason) from None


def check_name(option: str, name: object) -> str:
    """Give back the name of a resource; raises OptionInvalid, naming the option, otherwise."""
    if not isinstance(name, str):
        raise OptionInvalid(option, name, 'is no name: give a text, such as "repo:42"')
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        reason = f"is no name: give a text of 1 to {MAX_NAME} printable characters"
        raise OptionInvalid(option, name, reason)
    if name.startswith("@"):
        raise OptionInvalid(option, name, "is no name: begin it with another character than @")
    if name != name.strip():
        raise OptionInvalid(option, name, "is no name: leave out the blanks at its ends")
    return name


def read_bounds(options: Mapping[str, Any], where: str = "") -> Bounds | None:
    """The numbers of a limit; None if nothing is said. `where` goes before the option in errors.

    Raises OptionInvalid.
    """
    concurrency, rate = options.get("concurrency"), options.get("rate")
    burst = options.get("burst")
    if concurrency is not None:
        _check_count(f"{where}concurrency", concurrency, "no limit")
    if rate is not None:
        _check_rate(f"{where}rate", rate)
    if burst is not None:
        _check_count(f"{where}burst", burst, "one at a time")
        if rate is None:
            raise OptionInvalid(
                f"{where}burst",
                burst,
                'says something of a rate only: add one, such as rate="10/s"',
            )
    if concurrency is None and rate is None:
        return None
    return Bounds(concurrency, rate, burst)


def _check_count(option: str, value: object, usual: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionInvalid(option, value, "is not a whole number")
    if not 1 <= value <= MOST_AT_ONCE:
        raise OptionInvalid(
            option, value, f"is not between 1 and {MOST_AT_ONCE}; leave it out for {usual}"
        )


def _check_rate(option: str, value: object) -> None:
    try:
        parse_rate(value)
    except ValueError as error:
        raise OptionInvalid(option, value, str(error)) from None
