"""What is known of a setting besides its type: meaning, range, unit, example.

A field of the dataclasses in `settings` carries it as metadata. The checks, the sentences of a
refusal, the JSON schema and the reference page all take it from there.
"""

from dataclasses import KW_ONLY, Field, dataclass, fields
from enum import StrEnum
from typing import ClassVar, Protocol

from taskd.config.units import format_duration, format_share, format_size


class Kind(StrEnum):
    """How a setting is written and read."""

    COUNT = "a whole number"
    DURATION = "a duration"
    DAYS = "whole days"
    SIZE = "a size"
    MEMORY = "a size or a share of the memory there is"
    SHARE = "a share"
    RATE = "a rate"
    TEXT = "text"
    CHOICE = "a choice"
    PATH = "a path"
    DSN = "a connection string"
    LISTEN = "true, false or a connection string"
    MODULES = "a list of module names"
    QUEUES = "a list of queue names"
    VERSIONS = "a list of versions"
    CLASSES = "a list of dotted class names"
    TASKS = "a list of task names"
    ADDRESS = "an address"
    QUEUE = "the name of a queue"
    TASK = "the name of a task"
    CRON = "a cron expression"
    TIMEZONE = "a time zone"
    MOMENT = "a date and time"
    ARGUMENTS = "a list of arguments"
    KEYWORDS = "arguments by name"
    SECTION = "settings"
    SECTIONS = "names, each with its settings"


@dataclass(frozen=True, slots=True)
class About:
    """What the reader of a configuration may want to know of one setting."""

    kind: Kind
    description: str
    _: KW_ONLY
    between: tuple[float, float] | None = None
    """The least and the greatest value, in seconds, bytes or counted things."""
    example: str = ""
    choices: tuple[str, ...] = ()
    if_zero: str = ""
    """What to do instead, for somebody who wrote 0; NAME stands for the section's name."""
    without: str = ""
    """What happens when the setting is left out, if its default does not say so by itself."""
    section: type["Sectioned"] | None = None
    """The settings that stand inside this one."""
    is_lasting: bool = False
    """Whether a reload leaves it as it was, so that only a restart changes it."""

    def shown(self, amount: float) -> str:
        """Write an amount of this setting with its unit, as a person would."""
        match self.kind:
            case Kind.DURATION | Kind.DAYS:
                return format_duration(amount)
            case Kind.SIZE | Kind.MEMORY:
                return format_size(int(amount))
            case Kind.SHARE:
                return format_share(amount)
            case _:
                return str(amount)

    @property
    def range(self) -> str:
        """The range in words, such as `between 1s and 1h`; empty if there is none."""
        if self.between is None:
            return ""
        least, greatest = self.between
        return f"between {self.shown(least)} and {self.shown(greatest)}"

    @property
    def metadata(self) -> dict[str, "About"]:
        """The metadata of the dataclass's field."""
        return {"about": self}


class Sectioned(Protocol):
    """Any of the dataclasses in `settings`."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


def fields_with_about(section: type[Sectioned]) -> dict[str, tuple[Field[object], About]]:
    """Return the fields that may stand in a file, by name, in the order of the reference page."""
    return {
        field.name: (field, field.metadata["about"])
        for field in fields(section)
        if "about" in field.metadata
    }
