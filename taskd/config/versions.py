"""Versions of the code that jobs require, and the parts of a queue where such jobs wait: `sync@v2`.

A job of a task that says `requires="v2"` waits in a part of its queue that only workers look into
whose code offers v2. So no claim has to choose among jobs, and a worker that is too old never sees
them.
"""

import re
from typing import NamedTuple

MARK = "@"
"""Stands between a queue and a version; no queue has it in its name."""

VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}$"


class Part(NamedTuple):
    """A queue, or what waits in it for one version of the code."""

    queue: str
    version: str | None


def check_version(name: object) -> str:
    """Give back the name of a version; raises ValueError with a sentence for anything else."""
    if not isinstance(name, str):
        raise ValueError("is no version: give one text such as 'v2'")
    if not re.fullmatch(VERSION_PATTERN, name):
        raise ValueError(
            "is no version: "
            "1 to 32 of letters, digits and . _ + -, beginning with a letter or digit"
        )
    return name


def written_part(queue: str, version: str | None) -> str:
    """Write where jobs of a queue that require a version wait; None: no certain one."""
    return queue if version is None else f"{queue}{MARK}{version}"


def read_part(text: str) -> Part:
    """Read what `written_part` wrote."""
    queue, _, version = text.partition(MARK)
    return Part(queue, version or None)
