"""Types of arguments and options, checked when the command line is read: a fault is wrong usage."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import click

from taskd.config.moments import parse_moment
from taskd.config.names import check_queue_name, check_schedule_name
from taskd.config.units import format_duration, parse_duration
from taskd.errors import MAX_PAUSE, OptionInvalid
from taskd.tasks.names import check_task_name

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

MAX_ID = 2**63 - 1
SHOWN_AROUND_FAULT = 30

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Text(click.ParamType[str]):
    """Text that PostgreSQL can hold: an argument that is no UTF-8 is refused."""

    name = "text"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Give back the text."""
        text = str(value)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            self.fail("is not valid UTF-8", param, ctx)
        if not text:
            self.fail("is empty", param, ctx)
        return text


class QueueName(Text):
    """The name of a queue."""

    name = "queue"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Give back the name."""
        try:
            return check_queue_name(super().convert(value, param, ctx))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class TaskName(Text):
    """The name of a task: the dotted path of a function, or the name that its decorator gives."""

    name = "task"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Give back the name."""
        try:
            return check_task_name("the task", super().convert(value, param, ctx))
        except OptionInvalid as error:
            self.fail(f"{value!r} {error.reason}", param, ctx)


class JobId(click.IntRange):
    """The id of a job."""

    name = "job id"

    def __init__(self) -> None:
        super().__init__(1, MAX_ID)


class ScheduleName(Text):
    """The name of a schedule."""

    name = "schedule"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Give back the name."""
        try:
            return check_schedule_name(super().convert(value, param, ctx))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: `500ms`, `30s`, `5m`, `1h`, `14d`."""

    name = "duration"

    def __init__(self, least: float, greatest: float = MAX_PAUSE) -> None:
        self.least, self.greatest = least, greatest

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Give back the seconds."""
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        if not self.least <= seconds <= self.greatest:
            between = f"{format_duration(self.least)} and {format_duration(self.greatest)}"
            self.fail(f"{value!r} is not between {between}", param, ctx)
        return seconds


class Until(click.ParamType[str | float]):
    """Until when a job holds its unique key: `started`, `finished`, or for a duration."""

    name = "until"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | float:
        """Give back the word, or the seconds."""
        if value in ("started", "finished"):
            return str(value)
        try:
            parse_duration(value)
        except ValueError:
            known = '"started", "finished" or a duration such as 1h'
            self.fail(f"{value!r} is not {known}", param, ctx)
        return Duration(0.001).convert(value, param, ctx)


class Time(click.ParamType[datetime]):
    """A time as ISO 8601; without an offset it is the local time."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Give back the time, with its offset."""
        try:
            return datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2030-01-31T08:00", param, ctx)


class When(click.ParamType[datetime | float]):
    """A moment: so long ago, or a time as ISO 8601, local if it has no offset."""

    name = "moment"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | float:
        """Give back the time, or the seconds."""
        try:
            return parse_moment(str(value), is_local=True)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class Json(click.ParamType[Any]):
    """A JSON array or object, given as text, or `-` for standard input."""

    def __init__(self, kind: type[list[Any]] | type[dict[str, Any]]) -> None:
        self.kind = kind
        self.name = "JSON array" if kind is list else "JSON object"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Give back the decoded value."""
        if isinstance(value, self.kind):
            return value
        text = sys.stdin.read() if value == "-" else str(value)
        try:
            found = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            self.fail(_sentence(text, error), param, ctx)
        except RecursionError:
            self.fail("is nested too deeply", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not isinstance(found, self.kind):
            self.fail(f"is {_named(found)}, not a {self.name}{self._hint(text)}", param, ctx)
        return found

    def _hint(self, text: str) -> str:
        return f": write '[{text}]'" if self.kind is list and len(text) < 100 else ""


def _sentence(text: str, error: json.JSONDecodeError) -> str:
    """Say what is wrong and where, with the place pointed at."""
    start = max(0, error.pos - SHOWN_AROUND_FAULT)
    before = text[start : error.pos].replace("\n", " ")
    after = text[error.pos : error.pos + SHOWN_AROUND_FAULT].partition("\n")[0]
    place = f"line {error.lineno} column {error.colno}"
    return f"is not JSON: {error.msg} at {place}:\n  {before}{after}\n  {' ' * len(before)}^"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"is not JSON: {name} is no number there")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"has the key {name!r} twice")
        found[name] = value
    return found


def _named(value: object) -> str:
    names = {str: "a text", bool: "true or false", dict: "an object", list: "an array"}
    return "null" if value is None else names.get(type(value), "a number")


JOB_ID = JobId()
TEXT = Text()
QUEUE = QueueName()
TASK = TaskName()
SCHEDULE = ScheduleName()
ARRAY = Json(list)
OBJECT = Json(dict)


def job_ids(command: Decorated) -> Decorated:
    """Give a command the ids of one or more jobs."""
    return click.argument("ids", nargs=-1, required=True, metavar="ID…", type=JOB_ID)(command)
