"""What a request may say: checked and read before anything is asked of the database."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any, Protocol

from taskd.clock import utc_now
from taskd.config.moments import AGO_PATTERN, ISO_PATTERN, Moment, is_backwards, parse_moment
from taskd.config.units import parse_duration
from taskd.tasks.json_faults import find_fault

MAX_ID = 2**63 - 1
LONGEST_TEXT = 2000
SPAN_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,15})? ?(ms|s|m|h|d)?$"


class ParameterInvalid(Exception):
    """A parameter is unknown, missing or cannot be read; the text names it."""


class Kind(Protocol):
    """How the text of a parameter is read."""

    def read(self, text: str) -> Any:
        """The value; raises ValueError with what is wrong, to follow the text."""

    def schema(self) -> dict[str, Any]:
        """The same as a JSON Schema."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    least: int
    greatest: int

    def read(self, text: str) -> int:
        """Read digits alone."""
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ValueError("is no whole number")
        if not self.least <= int(text) <= self.greatest:
            raise ValueError(f"is not between {self.least} and {self.greatest}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """An integer."""
        return {"type": "integer", "minimum": self.least, "maximum": self.greatest}


@dataclass(frozen=True, slots=True)
class Span:
    """A duration: seconds, or a number with a unit."""

    least: float
    greatest: float

    def read(self, text: str) -> float:
        """Read it as the command line does: 900, 15m, 6h, 7d."""
        seconds = parse_duration(text)
        if not self.least <= seconds <= self.greatest:
            raise ValueError(f"is not between {self.least:g} and {self.greatest:g} seconds")
        return seconds

    def schema(self) -> dict[str, Any]:
        """A text, for it may have a unit."""
        return {"type": "string", "pattern": SPAN_PATTERN, "example": "15m"}


@dataclass(frozen=True, slots=True)
class When:
    """A moment: so long ago, or a time with its offset."""

    def read(self, text: str) -> Moment:
        """Read 15m, 6h, 2030-01-31T08:00Z."""
        return parse_moment(text)

    def schema(self) -> dict[str, Any]:
        """A string of one of two forms."""
        forms = [{"pattern": AGO_PATTERN}, {"pattern": ISO_PATTERN}]
        return {"type": "string", "anyOf": forms, "example": "1h"}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, text: str) -> str:
        """Take one of the words as it is."""
        if text not in self.words:
            raise ValueError(f"is none of {', '.join(self.words)}")
        return text

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Text:
    """A text that PostgreSQL can hold."""

    def read(self, text: str) -> str:
        """Refuse what is empty, too long, or holds NUL or what is no UTF-8."""
        if not text:
            raise ValueError("is empty")
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"is longer than {LONGEST_TEXT} characters")
        if "\0" in text or any("\ud800" <= c <= "\udfff" or c == "\ufffd" for c in text):
            raise ValueError("holds characters that no text in the database can have")
        return text

    def schema(self) -> dict[str, Any]:
        """A string."""
        return {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a list something stands: two numbers, the second of at most so many digits."""

    digits: int = 18

    def read(self, text: str) -> tuple[int, int]:
        """Take what an answer has said."""
        if not re.fullmatch(self._pattern, text, re.ASCII):
            raise ValueError("is no position in this list: take the one of an answer")
        first, _, second = text.partition(".")
        return int(first), int(second)

    def schema(self) -> dict[str, Any]:
        """A string with a pattern."""
        return {"type": "string", "pattern": self._pattern, "example": "0.0"}

    @property
    def _pattern(self) -> str:
        return rf"^[0-9]{{1,18}}\.[0-9]{{1,{self.digits}}}$"


@dataclass(frozen=True, slots=True)
class Checked:
    """A text that a check of the configuration accepts."""

    check: Callable[[str], str]
    example: str

    def read(self, text: str) -> str:
        """Give back the text as the check does."""
        return self.check(Text().read(text))

    def schema(self) -> dict[str, Any]:
        """A string."""
        return {**Text().schema(), "example": self.example}


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON array or object as text."""

    kind: type[list[Any]] | type[dict[str, Any]]

    def read(self, text: str) -> Any:
        """Decode it."""
        name = "array" if self.kind is list else "object"
        try:
            found = json.loads(Text().read(text), parse_constant=_refuse, parse_float=_finite)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"is no JSON {name}") from error
        if not isinstance(found, self.kind) or "\\u0000" in text or "\\ud" in text.lower():
            raise ValueError(f"is no JSON {name} that the database can compare")
        fault = find_fault(found, "")
        if fault is not None:  # such as levels that only some readers of JSON can take
            raise ValueError(f"is no JSON {name} that a job can have: it {fault.problem}")
        return found

    def schema(self) -> dict[str, Any]:
        """A string, for it is JSON inside of a query."""
        return {"type": "string", "example": "[42]" if self.kind is list else '{"to": "x"}'}


def _refuse(name: str) -> object:
    raise ValueError(f"is no JSON: {name} is no number there")


def _finite(text: str) -> float:
    if isinf(number := float(text)):
        raise ValueError(f"holds a number that is too large: {text}")
    return number


def check_spans(values: Mapping[str, Any]) -> None:
    """Raise ParameterInvalid if a span of a filter ends before it begins."""
    for since, until in (("since", "until"), ("finished_since", "finished_until")):
        if is_backwards(values[since], values[until], utc_now()):
            raise ParameterInvalid(f"{until} is before {since}: no job can be between them")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the query, or of the path; without a `default` it may be left out."""

    name: str
    kind: Kind
    about: str
    default: str | None = None
    in_path: bool = False


def read_parameters(
    known: Sequence[Parameter], given: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The values of all parameters, None for what is left out; raises ParameterInvalid."""
    names = [parameter.name for parameter in known]
    for name in given:
        if name not in names:
            listed = ", ".join(names) or "none"
            raise ParameterInvalid(f"there is no parameter {name!r} here: there are {listed}")
    return {parameter.name: _read(parameter, given.get(parameter.name, ())) for parameter in known}


def _read(parameter: Parameter, texts: Sequence[str]) -> Any:
    if len(texts) > 1:
        raise ParameterInvalid(f"{parameter.name} is given {len(texts)} times: once is enough")
    text = texts[0] if texts else parameter.default
    if text is None:
        return None
    try:
        return parameter.kind.read(text)
    except ValueError as error:
        raise ParameterInvalid(f"{parameter.name}: {text!r} {error}") from error


WORKER = Parameter("id", Whole(1, MAX_ID), "The id of a worker, by /workers.", in_path=True)
HOST = Parameter("id", Whole(1, MAX_ID), "The `id` of a host, by /workers.", in_path=True)
