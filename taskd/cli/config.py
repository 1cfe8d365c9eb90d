"""`taskd config`: the settings in effect, and the schema of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import click

from taskd.cli.invocation import current
from taskd.cli.output import one_line, print_json, print_lines
from taskd.cli.parameters import json_option
from taskd.config.about import About, Kind, Sectioned, fields_with_about
from taskd.config.dsn import mask_dsn
from taskd.config.settings import Settings
from taskd.config.weights import written

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

    With --json, durations are in seconds and sizes in bytes.
    """
    settings = masked(current().settings())
    if as_json:
        print_json(json.loads(settings.to_json()))
    else:
        print_lines(f"{path} = {one_line(value)}" for path, value in _lines(settings, ""))


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


def _lines(section: Sectioned, path: str) -> Iterator[tuple[str, str]]:
    """Each setting with its dotted path, as errors name it, and its value, as a file has it."""
    for name, (_, about) in fields_with_about(type(section)).items():
        value = getattr(section, name)
        match about.kind:
            case Kind.SECTION:
                yield from _lines(value, f"{path}{name}.")
            case Kind.SECTIONS:
                for key, part in value.items():
                    yield from _lines(part, f"{path}{name}.{key}.")
            case _:
                yield f"{path}{name}", _shown(value, about)


def _shown(value: object, about: About) -> str:
    match value:
        case None | () | "":
            return f"({about.without})"
        case dict() | tuple() if about.kind in (Kind.ARGUMENTS, Kind.KEYWORDS):
            return json.dumps(value, ensure_ascii=False) if value else f"({about.without})"
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(written(value))
        case int() | float():
            return about.shown(value)
        case _:
            return str(value)
