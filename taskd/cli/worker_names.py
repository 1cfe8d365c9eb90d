"""Names of workers and jobs on the command line: `io/0`, `io`, `4711`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from taskd.cli.parameters import MAX_ID


@dataclass(frozen=True, slots=True)
class Target:
    """What is meant: a job, or a pool, or a slot of it."""

    job: int | None = None
    pool: str | None = None
    slot: int | None = None

    def __str__(self) -> str:
        return f"{self.pool}" if self.slot is None else f"{self.pool}/{self.slot}"


class TargetName(click.ParamType[Target]):
    """The id of a job (or of what else has a number), or the name of a worker or a pool."""

    name = "worker or job"

    def __init__(self, numbered: str = "job") -> None:
        self.numbered = numbered

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Read it."""
        if isinstance(value, Target):
            return value
        text = str(value)
        if text.isascii() and text.isdecimal():
            if not 1 <= int(text) <= MAX_ID:
                self.fail(f"{text} is no id of a {self.numbered}", param, ctx)
            return Target(job=int(text))
        pool, slash, slot = text.rpartition("/")
        if not slash:
            return Target(pool=text)
        if not pool or not (slot.isascii() and slot.isdecimal()):
            self.fail(f"{text!r} is no name of a worker, such as io/0", param, ctx)
        return Target(pool=pool, slot=int(slot))


TARGET = TargetName()
WORKER = TargetName("worker")
