"""What pools, queues, limits and modules may be called."""

import keyword
import re

from taskd.config.versions import MARK

POOL_PATTERN = "^[a-z][a-z0-9_-]{0,31}$"
QUEUE_LENGTH = 100
# Neither control characters, nor the comma that parts names on the command line, nor the mark that
# parts a queue from a version.
QUEUE_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f,@]{1,100}$"
LIMIT_PATTERN = r"^[^@\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]{0,199}$"
MODULE_PATTERN = r"^[^\s.]+(\.[^\s.]+)*$"
# What tasks may be called as well, for a schedule of the code has the name of its task.
SCHEDULE_PATTERN = r"^[^\s\u0000-\u001f\u007f-\u009f]{1,200}$"

_SURROGATE = re.compile("[\ud800-\udfff]")


def check_pool_name(name: str) -> str:
    """Give back a name fit for a pool; raises ValueError with a sentence otherwise."""
    if not re.fullmatch(POOL_PATTERN, name):
        raise ValueError(
            "is no name for a pool: 1 to 32 of a-z, 0-9, _ and -, beginning with a letter"
        )
    return name


def check_queue_name(name: str) -> str:
    """Give back a name fit for a queue; raises ValueError with a sentence otherwise."""
    if not name:
        raise ValueError("is empty: a queue needs a name")
    if len(name) > QUEUE_LENGTH:
        raise ValueError(f"is too long for a queue's name: at most {QUEUE_LENGTH} characters")
    if MARK in name:
        raise ValueError("is no name for a queue: @ parts a queue from a version that jobs require")
    if not re.fullmatch(QUEUE_PATTERN, name) or _SURROGATE.search(name):
        raise ValueError(
            "is no name for a queue: commas, NUL and other control characters are not allowed"
        )
    if name != name.strip():
        raise ValueError("is no name for a queue: it begins or ends with a space")
    return name


def check_limit_name(name: str) -> str:
    """Give back a name fit for a limit; raises ValueError with a sentence otherwise."""
    if name.startswith(MARK):
        raise ValueError(
            "is no name for a limit: it begins with @; the limits of a queue stand with the queue, "
            "as queues.NAME.concurrency, and those of a task in its code"
        )
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise ValueError("is no name for a limit: 1 to 200 printable characters")
    if name != name.strip():
        raise ValueError("is no name for a limit: leave out the blanks at its ends")
    return name


def check_schedule_name(name: str) -> str:
    """Give back a name fit for a schedule or a task; raises ValueError with a sentence if not."""
    if not re.fullmatch(SCHEDULE_PATTERN, name) or _SURROGATE.search(name):
        raise ValueError("is not 1 to 200 characters without spaces and control characters")
    return name


def check_module_name(name: str) -> str:
    """Give back a dotted module name; raises ValueError with a sentence otherwise."""
    parts = name.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise ValueError("is not a dotted module name such as shop.tasks")
    return name


def check_class_name(name: str) -> str:
    """Give back a dotted class name; raises ValueError with a sentence otherwise."""
    parts = name.split(".")
    if len(parts) < 2 or not all(
        part.isidentifier() and not keyword.iskeyword(part) for part in parts
    ):
        raise ValueError("is not a dotted class name such as shop.hooks.Tracing")
    return name
