"""What the body of an order may say: a JSON object, checked before anything is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from taskd.config.moments import Moment
from taskd.config.names import (
    QUEUE_PATTERN,
    SCHEDULE_PATTERN,
    check_queue_name,
    check_schedule_name,
)
from taskd.web.parameters import (
    MAX_ID,
    SPAN_PATTERN,
    Json,
    OneOf,
    ParameterInvalid,
    Span,
    Text,
    When,
    Whole,
)
from taskd.web.shapes import nullable

MOST_IDS = 10_000


class BodyKind(Protocol):
    """How a member of a body is read."""

    def take(self, value: Any) -> Any:
        """The value; raises ValueError with what is wrong, to follow the member's name."""

    def schema(self) -> dict[str, Any]:
        """The same as a JSON Schema."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name with rules of its own, in a path or in a body."""

    check: Callable[[str], str]
    pattern: str

    def read(self, text: str) -> str:
        """Take a name as it is."""
        return self.check(Text().read(text))

    def take(self, value: Any) -> str:
        """The same, of a string."""
        return self.read(_string(value))

    def schema(self) -> dict[str, Any]:
        """A string with a pattern."""
        return {"type": "string", "pattern": self.pattern}


QUEUE_NAME = Name(check_queue_name, QUEUE_PATTERN)
SCHEDULE_NAME = Name(check_schedule_name, SCHEDULE_PATTERN)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def take(self, value: Any) -> bool:
        """Take it as it is."""
        if not isinstance(value, bool):
            raise ValueError("is neither true nor false")
        return value

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Words:
    """Text, of at most so many characters; `may_be_empty` takes none for an answer."""

    longest: int
    may_be_empty: bool = False

    def take(self, value: Any) -> str:
        """Take it as it is."""
        text = _string(value)
        if self.may_be_empty and not text:
            return text
        if len(text) > self.longest:
            raise ValueError(f"is longer than {self.longest} characters")
        return Text().read(text)

    def schema(self) -> dict[str, Any]:
        """A string."""
        least = 0 if self.may_be_empty else 1
        return {"type": "string", "minLength": least, "maxLength": self.longest}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def take(self, value: Any) -> str:
        """Take it as it is."""
        return OneOf(self.words).read(_string(value))

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return OneOf(self.words).schema()


@dataclass(frozen=True, slots=True)
class Integer:
    """The id of something."""

    def take(self, value: Any) -> int:
        """Take it as it is."""
        return Whole(1, MAX_ID).read(json.dumps(value))

    def schema(self) -> dict[str, Any]:
        """An integer."""
        return Whole(1, MAX_ID).schema()


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, or a text with a unit."""

    least: float
    greatest: float

    def take(self, value: Any) -> float:
        """Read it as a query does."""
        text = value if isinstance(value, str) else json.dumps(value)
        return Span(self.least, self.greatest).read(text)

    def schema(self) -> dict[str, Any]:
        """A number or a string."""
        number = {"type": "number", "minimum": self.least, "maximum": self.greatest}
        return {"anyOf": [number, {"type": "string", "pattern": SPAN_PATTERN}]}


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment, as a query has it."""

    def take(self, value: Any) -> Moment:
        """Read it as a query does."""
        return When().read(_string(value))

    def schema(self) -> dict[str, Any]:
        """A string of one of two forms."""
        return When().schema()


@dataclass(frozen=True, slots=True)
class Value:
    """A JSON array or object."""

    kind: type[list[Any]] | type[dict[str, Any]]

    def take(self, value: Any) -> Any:
        """What the database can compare of it."""
        return Json(self.kind).read(json.dumps(value, ensure_ascii=False))

    def schema(self) -> dict[str, Any]:
        """An array or an object."""
        return {"type": "array" if self.kind is list else "object"}


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids of jobs."""

    def take(self, value: Any) -> list[int]:
        """Each once, in their order."""
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_IDS:
            raise ValueError(f"is no array of 1 to {MOST_IDS} ids")
        return list(dict.fromkeys(Integer().take(each) for each in value))

    def schema(self) -> dict[str, Any]:
        """An array of integers."""
        return {"type": "array", "items": Integer().schema(), "minItems": 1, "maxItems": MOST_IDS}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a body."""

    name: str
    kind: BodyKind
    about: str
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Members:
    """An object with these members and no others; at least `least` of them."""

    members: tuple[Member, ...]
    least: int = 0

    def take(self, value: Any) -> dict[str, Any]:
        """Its members, None for what is left out."""
        if not isinstance(value, dict):
            raise ValueError("is no object")
        if len(value) < self.least:
            names = ", ".join(member.name for member in self.members)
            raise ValueError(f"says nothing: give at least one of {names}")
        return read_body(self.members, value)

    def schema(self) -> dict[str, Any]:
        """An object."""
        return {**body_schema(self.members), "minProperties": self.least}


def parse_body(text: bytes) -> Any:
    """The JSON of a body, {} if it is empty; raises ParameterInvalid."""
    if not text:
        return {}
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ParameterInvalid(f"the body is no JSON: {error}") from error


def read_body(members: Sequence[Member], given: Any) -> dict[str, Any]:
    """The values of all members, None for what is left out; raises ParameterInvalid."""
    if not isinstance(given, dict):
        raise ParameterInvalid("the body is no JSON object")
    names = [member.name for member in members]
    for name in given:
        if name not in names:
            listed = ", ".join(names) or "none"
            raise ParameterInvalid(f"there is no {name!r} here: there are {listed}")
    return {member.name: _read(member, given) for member in members}


def _read(member: Member, given: dict[str, Any]) -> Any:
    if given.get(member.name) is None:  # null is as good as left out
        if member.is_needed:
            raise ParameterInvalid(f"{member.name} is missing: {member.about}")
        return None
    try:
        return member.kind.take(given[member.name])
    except (ValueError, ParameterInvalid) as error:
        raise ParameterInvalid(f"{member.name}: {error}") from error


def body_schema(members: Sequence[Member]) -> dict[str, Any]:
    """The JSON Schema of a body."""
    return {
        "type": "object",
        "properties": {
            member.name: {**_member_schema(member), "description": member.about}
            for member in members
        },
        "required": [member.name for member in members if member.is_needed],
        "additionalProperties": False,
    }


def _member_schema(member: Member) -> dict[str, Any]:
    schema = member.kind.schema()
    return schema if member.is_needed else nullable(schema)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is no string")
    return value


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no number there")
