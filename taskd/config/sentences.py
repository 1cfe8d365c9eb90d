"""What the checks found, in the words of the configuration's reader."""

import re
import shlex
from dataclasses import dataclass

from taskd.config.about import About, Kind, Sectioned, fields_with_about
from taskd.config.dsn import mask_dsn
from taskd.config.layer import Path
from taskd.config.memory import MemorySettings
from taskd.config.sections import PoolSettings
from taskd.config.settings import Settings

_LONGEST_SHOWN = 60
_LISTS = (Kind.MODULES, Kind.QUEUES, Kind.VERSIONS, Kind.CLASSES, Kind.TASKS)
_BY_EXAMPLE = (*_LISTS, Kind.ARGUMENTS, Kind.KEYWORDS, Kind.CRON, Kind.ADDRESS)
_TEXTUAL = (Kind.TEXT, Kind.PATH, Kind.QUEUES, Kind.VERSIONS, Kind.CHOICE, Kind.QUEUE, Kind.TASK)
_NOTHING = re.compile(r"-?0+(?:\.0+)? ?[A-Za-z]*|none|no|off|never|false|unlimited", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a path leads to: what is told of the setting, and what may stand inside."""

    about: About | None
    section: type[Sectioned] | None


def find_setting(path: Path) -> Setting:
    """Follow a path through the settings; past anything unknown it is empty."""
    about: About | None = None
    section: type[Sectioned] | None = Settings
    name_follows = False
    for step in path:
        if name_follows:
            about, name_follows = None, False
        elif section is not None and isinstance(step, str):
            _, about = fields_with_about(section).get(step, (None, None))
            section = about.section if about else None
            name_follows = about is not None and about.kind is Kind.SECTIONS
        # Else an index of a list: what is told of the list holds for its items.
    return Setting(about, None if name_follows else section)


def is_section(path: Path) -> bool:
    """Whether settings stand inside the one at the path; a mapping of weights is a value."""
    setting = find_setting(path)
    return setting.section is not None or bool(setting.about and setting.about.section)


def unknown(path: Path) -> str:
    """Say that no setting is called like the last step of the path, and which may be meant."""
    key = str(path[-1])
    section = find_setting(path[:-1]).section
    known = list(fields_with_about(section)) if section else []
    if key in fields_with_about(MemorySettings) and section is PoolSettings:
        return f"unknown setting here: it belongs to the pool's memory, as memory: {{{key}: …}}"
    import difflib  # only who mistypes pays for it

    near = difflib.get_close_matches(key[:100].lower(), known, n=1)
    if near:
        return f"unknown setting: did you mean {near[0]}?"
    if len(path) == 1 and key in fields_with_about(PoolSettings):
        return f"unknown setting here: it belongs to a pool, as pools.NAME.{key}"
    return f"unknown setting: known here are {', '.join(known)}"


def out_of_range(path: Path, value: object) -> str:
    """Say that an amount is too small or too large."""
    about = find_setting(path).about
    if about is None:
        return unfit(path, value)
    amount = about.shown(value) if isinstance(value, int | float) else shown(value)
    return f"{amount} is not {about.range}{_remedy(path, about, value)}"


def refused(path: Path, value: object, reason: str) -> str:
    """Say why one of our own checks refused a value; `reason` begins with a verb."""
    about = find_setting(path).about
    if value is None:
        return unfit(path, value)
    if about is not None and about.kind in (Kind.DSN, Kind.LISTEN) and isinstance(value, str):
        return reason
    is_weight = about is not None and about.kind is Kind.QUEUES and isinstance(path[-1], str)
    return f"{shown(value)} {reason}{'' if is_weight else _remedy(path, about, value)}"


def unfit(path: Path, value: object) -> str:
    """Say that a value is nothing of the kind that the setting takes."""
    about = find_setting(path).about
    if value is None:
        return "has no value: write one, or leave the setting out"
    if about is None or about.section is not None:
        return f"{shown(value)} is not a mapping of settings"
    wanted = _wanted_item(about) if isinstance(path[-1], int) else _wanted(about)
    return f"{shown(value)} is not {wanted}{_remedy(path, about, value)}"


def shown(value: object) -> str:
    """Write a value for an error: short, in printable characters, without passwords."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            text = mask_dsn(value)
            return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
        case _:
            return str(value)


def _wanted(about: About) -> str:
    match about.kind:
        case Kind.COUNT:
            return f"a whole number {about.range}"
        case kind if kind in _BY_EXAMPLE:
            return f"{about.kind} such as {about.example}"
        case _:
            return str(about.kind)


def _wanted_item(about: About) -> str:
    if about.kind is Kind.MODULES:
        return "a dotted module name such as shop.tasks"
    if about.kind is Kind.CLASSES:
        return "a dotted class name such as shop.hooks.Tracing"
    if about.kind is Kind.TASKS:
        return "the name of a task"
    return "the name of a version" if about.kind is Kind.VERSIONS else "the name of a queue"


def _remedy(path: Path, about: About | None, value: object) -> str:
    if about is None:
        return ""
    if about.if_zero and _NOTHING.fullmatch(str(value)):
        return f": {about.if_zero.replace('NAME', _section_name(path))}"
    textual = about.kind in _TEXTUAL
    if textual and isinstance(value, int | float):
        return ": put it in quotes if it is text"
    return ""


def _section_name(path: Path) -> str:
    """The name of the section that a setting stands in, as a command line takes it."""
    name = str(path[-2]) if len(path) > 1 else ""
    return shlex.quote(name) if name.isprintable() and 0 < len(name) <= _LONGEST_SHOWN else "NAME"
