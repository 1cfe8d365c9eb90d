"""`taskd run --profile …`: where the time or the memory of one call goes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from taskd.cli.failure import Failure
from taskd.cli.moments import size
from taskd.cli.output import Column, one_line, printable, table_lines

MOST_PLACES = 10


class Profile(StrEnum):
    """What is looked at."""

    CPU = "cpu"
    MEMORY = "memory"
    IO = "io"


PACKAGES = {Profile.CPU: "pyinstrument", Profile.MEMORY: "memray"}


def require(profile: Profile) -> None:
    """Raise Failure, with the remedy, if the package that looks is not installed."""
    package = PACKAGES.get(profile)
    if package is not None and find_spec(package) is None:
        raise Failure(
            f"--profile {profile} needs {package}, which is not installed: pip install {package}"
        )


@contextmanager
def profiled(profile: Profile) -> Iterator[None]:
    """Look at the block, and report on standard error, also if it raises."""
    look: dict[Profile, Callable[[], Any]] = {
        Profile.CPU: _cpu,
        Profile.MEMORY: _memory,
        Profile.IO: _io,
    }
    with look[profile]():
        yield


@contextmanager
def _cpu() -> Iterator[None]:
    from pyinstrument import Profiler

    profiler = Profiler()
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        click.echo(printable(profiler.output_text(unicode=True, color=False)), err=True)


@contextmanager
def _memory() -> Iterator[None]:
    import memray

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        try:
            with memray.Tracker(path):
                yield
        finally:
            _report_memory(memray.FileReader(os.fspath(path)))


def _report_memory(reader: Any) -> None:
    click.echo(
        f"at most {size(reader.metadata.peak_memory)} at once; then it held, by line:", err=True
    )
    _show_places(reader.get_high_watermark_allocation_records(merge_threads=True))
    click.echo("not given back when it had returned, by line:", err=True)
    _show_places(reader.get_leaked_allocation_records(merge_threads=True))


def _show_places(records: Any) -> None:
    sizes: dict[str, list[int]] = {}
    for record in records:
        held = sizes.setdefault(_place(record), [0, 0])
        held[0] += record.size
        held[1] += record.n_allocations
    largest = sorted(sizes.items(), key=lambda one: -one[1][0])[:MOST_PLACES]
    columns = (Column("SIZE", right=True), Column("TIMES", right=True), Column("LINE"))
    rows = [[size(held), str(times), one_line(place)] for place, (held, times) in largest]
    for line in table_lines(columns, rows, None):
        click.echo(line, err=True)


def _place(record: Any) -> str:
    """The innermost line of Python, and the innermost that is neither a library's nor taskd's."""
    frames = record.stack_trace(max_stacks=50)
    if not frames:
        return "(not Python)"
    function, file, line = frames[0]
    here = f"{file}:{line} in {function}"
    cwd = os.getcwd()
    own = next(
        (one for one in frames if one[1].startswith(cwd) and "site-packages" not in one[1]), None
    )
    if own is None or own == frames[0]:
        return here
    return f"{here}, from {own[1]}:{own[2]} in {own[0]}"


@contextmanager
def _io() -> Iterator[None]:
    from taskd.cli.waits import Waits, watching

    waits = Waits()
    try:
        with watching(waits):
            yield
    finally:
        for line in waits.report():
            click.echo(line, err=True)
