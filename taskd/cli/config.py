"""`taskd config`: the settings in effect, and the schema of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from taskd.cli.invocation import current
from taskd.cli.output import one_line, print_json, print_lines
from taskd.cli.parameters import json_option
from taskd.config.dsn import mask_dsn

if TYPE_CHECKING:
    from taskd.config.settings import Settings

EXAMPLES = """\b
Examples:
  taskd config show
  taskd config schema > taskd.schema.json
"""


@click.group(epilog=EXAMPLES)
def config() -> None:
    """Show the settings in effect, or the JSON Schema of the file."""


@config.command()
@json_option
def show(as_json: bool) -> None:
    """Show the settings that file, environment and flags result in; passwords are hidden.

    Durations are in seconds, sizes in bytes.
    """
    settings = json.loads(masked(current().settings()).to_json())
    if as_json:
        print_json(settings)
    else:
        print_lines(f"{path} = {one_line(value)}" for path, value in _flat(settings, ""))


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors that check as one types."""
    from taskd.config.schema import json_schema

    print_json(json_schema())


def masked(settings: Settings) -> Settings:
    """The settings without the passwords of their connection strings."""
    flags = tuple(mask_dsn(flag) for flag in settings.origin.flags)
    return replace(
        settings,
        database=None if settings.database is None else mask_dsn(settings.database),
        listen=mask_dsn(settings.listen) if isinstance(settings.listen, str) else settings.listen,
        origin=replace(settings.origin, flags=flags),
    )


def _flat(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Each setting with its dotted path, as errors name it."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(part, f"{path}.{name}" if path else name)
    else:
        yield path, json.dumps(value, ensure_ascii=False)
