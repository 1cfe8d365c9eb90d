"""The reference page and the command say the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from taskd.cli.root import VERBS, taskd

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def commands(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{words} {name}")


ALL = dict(commands(taskd, "taskd"))


@pytest.mark.parametrize("words", ALL)
def test_every_option_stands_in_the_reference(words: str) -> None:
    page = PAGE.read_text(encoding="utf-8")

    options = [p for p in ALL[words].params if isinstance(p, click.Option) and not p.is_eager]

    assert [option.name for option in options if option.opts[-1] not in page] == []


@pytest.mark.parametrize("words", ALL)
def test_every_command_explains_itself_and_its_options(words: str) -> None:
    command = ALL[words]

    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_stands_in_the_reference(verb: str) -> None:
    assert f"taskd {verb}" in PAGE.read_text(encoding="utf-8")
