"""How the values of single settings are read and checked, where that is more than a type.

Each raises ValueError with a sentence that follows the value.
"""

import json
import re
from collections.abc import Callable
from typing import TypeVar

from taskd.config.about import Kind
from taskd.config.address import Address
from taskd.config.cron import check_cron, check_moment, check_timezone
from taskd.config.dsn import check_dsn
from taskd.config.forms import COUNT_PATTERN
from taskd.config.memory import LEAST_MEMORY, LEAST_SHARE, MOST_MEMORY
from taskd.config.names import check_queue_name, check_schedule_name
from taskd.config.rates import parse_rate
from taskd.config.sections import DAY
from taskd.config.units import parse_duration, parse_share, parse_size

T = TypeVar("T")


def read_count(value: object) -> object:
    """A whole number where text spells one."""
    # A variable in a flow mapping can only stand in quotes, and must be able to give a number.
    return int(value) if isinstance(value, str) and re.fullmatch(COUNT_PATTERN, value) else value


def parse_days(value: object) -> float:
    """Seconds that are whole days."""
    seconds = parse_duration(value)
    if seconds % DAY:
        raise ValueError("is not a whole number of days: write it such as 14d")
    return seconds


def read_memory(value: object) -> int | str:
    """Bytes, or a share as it is written, such as `80%`."""
    if isinstance(value, str) and value.endswith("%"):
        if not LEAST_SHARE <= parse_share(value) <= 1:
            raise ValueError("is not between 1% and 100%")
        return value
    try:
        size = parse_size(value)
    except ValueError:
        raise ValueError("is neither a size such as 400MB nor a share such as 80%") from None
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise ValueError("is not between 1MB and 1000000GB")
    return size


def choose(choices: tuple[str, ...], value: object) -> str:
    """The member of the choices that the value spells."""
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"is not one of {', '.join(choices)}")


def read_listen(value: object) -> bool | str:
    """Whether to listen, or where."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, str) and ("=" in value or "://" in value):
        return check_dsn(value)
    raise ValueError("is neither true nor false nor a connection string")


def check_rate(value: object) -> str:
    """Give back a rate as it is written, such as `100/m`."""
    parse_rate(value)
    return str(value)


def check_json(value: T) -> T:
    """Give back what PostgreSQL can hold as JSON text."""
    # The environment may hold bytes that are not UTF-8; what was left out has been told already.
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise ValueError("holds what is not UTF-8") from None
    return value


def check_text(text: str) -> str:
    """Give back text that a line can hold."""
    # What comes from the environment may hold bytes that are not UTF-8, as lone surrogates.
    if not text.isprintable():
        raise ValueError("is not a single line of printable text")
    return text


def check_address(text: str) -> str:
    """Give back an address such as `127.0.0.1:8080`."""
    try:
        Address.parse(check_text(text))
    except ValueError:
        raise ValueError(
            "is no address such as 127.0.0.1:8080 or, of an IPv6 one, [::1]:8080"
        ) from None
    return text


TEXT_CHECKS: dict[Kind, Callable[[str], str]] = {
    Kind.QUEUE: check_queue_name,
    Kind.TASK: check_schedule_name,
    Kind.CRON: check_cron,
    Kind.TIMEZONE: check_timezone,
    Kind.MOMENT: check_moment,
    Kind.ADDRESS: check_address,
}
"""How the texts of some kinds are checked."""
