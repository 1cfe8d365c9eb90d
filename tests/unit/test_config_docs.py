"""The reference page tells every setting as the program has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field
from pathlib import Path

import pytest

from taskd.config.about import About, Kind, Sectioned, fields_with_about
from taskd.config.forms import default_of
from taskd.config.lasting import lasting_settings
from taskd.config.overrides import OVERRIDES
from taskd.config.settings import Settings
from taskd.config.units import BYTES, SECONDS
from tests.unit.configuration import Folder

PAGE = Path(__file__).parents[2] / "docs/reference/configuration.md"
TEXT = PAGE.read_text(encoding="utf-8")
UNITS = {
    Kind.COUNT: "whole number",
    Kind.DURATION: "duration, in seconds",
    Kind.DAYS: "duration, in whole days",
    Kind.SIZE: "size, in bytes",
    Kind.CHOICE: "one word",
    Kind.MODULES: "list of modules",
    Kind.VERSIONS: "list of versions",
    Kind.QUEUES: "list of queues, or their weights",
    Kind.CLASSES: "list of classes",
    Kind.DSN: "connection string",
    Kind.LISTEN: "true, false, connection string",
}


def settings_below(
    section: type[Sectioned], prefix: str = ""
) -> Iterator[tuple[str, Field[object], About]]:
    for name, (field, about) in fields_with_about(section).items():
        path = f"{prefix}{name}"
        if about.section is None:
            yield path, field, about
        else:
            below = f"{path}." if about.kind is Kind.SECTION else f"{path}.NAME."
            yield from settings_below(about.section, below)


def row(path: str, field: Field[object], about: About) -> str:
    """The line of the page's table that this setting must have."""
    default = default_of(field, about)
    shown = (
        about.without
        if default in (None, MISSING, [], "")
        else f"`{str(default).lower() if default is True else default}`"
    )
    values = ", ".join(f"`{choice}`" for choice in about.choices)
    cells = (
        f"`{path}`",
        UNITS.get(about.kind, str(about.kind)),
        shown,
        about.range.removeprefix("between ").replace(" and ", " to ") or values or "any",
        f"`{about.example}`",
        about.description,
    )
    return f"| {' | '.join(cells)} |"


def companions(name: str) -> str:
    """What a schedule needs beside one of its settings."""
    given = {"task": "shop.report", "cron": "0 3 * * *"}
    match name:
        case "every" | "run_at":
            del given["cron"]
        case "task" | "cron":
            del given[name]
    return "".join(f"{setting}: {value}\n" for setting, value in given.items())


SETTINGS = list(settings_below(Settings))


@pytest.mark.parametrize(("path", "field", "about"), SETTINGS, ids=[path for path, *_ in SETTINGS])
def test_page_tells_unit_default_range_and_example(
    path: str, field: Field[object], about: About
) -> None:
    assert row(path, field, about) in TEXT.splitlines()


def test_page_tells_what_only_a_restart_changes() -> None:
    (told,) = re.findall(r"keep their old values over a\s+reload: (.*?)\.", TEXT, re.DOTALL)

    assert tuple(re.findall(r"`(\w+)`", told)) == lasting_settings()


def test_page_tells_of_no_setting_that_is_not_there() -> None:
    told = set(re.findall(r"^\| `([a-z_.A-Z]+)` \|.*\|.*\|.*\|.*\|", TEXT, re.MULTILINE))

    assert told == {path for path, *_ in SETTINGS}


@pytest.mark.parametrize(("path", "field", "about"), SETTINGS, ids=[path for path, *_ in SETTINGS])
def test_example_of_every_setting_loads(
    path: str, field: Field[object], about: About, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *sections, name = path.replace("NAME", "some").split(".")
    text = f"{name}: {about.example}\n"
    if name == "burst":
        text += "rate: 100/m\n"
    if sections[:1] == ["schedules"]:
        text += companions(name)
    for section in reversed(sections):
        text = f"{section}:\n" + "".join(f"  {line}\n" for line in text.splitlines())

    Folder(tmp_path).load(text)


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda override: override.name)
def test_page_tells_flag_and_variable(override: object) -> None:
    flag, variable = override.flag, override.variable  # type: ignore[attr-defined]

    assert re.search(rf"^\| `{flag}` \| `{variable}` \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("unit", [*SECONDS, *BYTES])
def test_page_tells_every_unit(unit: str) -> None:
    assert f"`{unit}`" in TEXT


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_yaml_of_the_page_loads(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    Folder(tmp_path).load(example)


def test_refusals_on_the_page_are_those_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, refusals = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)

    assert Folder(tmp_path).faults(wrong) == refusals.splitlines()
