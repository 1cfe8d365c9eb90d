"""Whatever a file holds, it gives settings or a refusal, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskd.config import document
from taskd.config.about import About, Kind, Sectioned, fields_with_about
from taskd.config.load import load_settings
from taskd.config.overrides import OVERRIDES
from taskd.config.settings import Settings
from taskd.errors import ConfigurationInvalid
from tests.unit.configuration import NOTHING, Folder

ENVIRON = {**NOTHING, "SET": "010", "EMPTY": "", "SECRET": "postgresql://u:hunter2@h"}

WORDS = """
pools queues io greenlets processes lease log level database listen imports retention history
state_dir max_args x-a << 25 010 1:30 no true null 30s 1MiB -3 .inf 1e999 a,b host=db a.b ~ =x
[ ] { } & * &a *a ' " | > - ? !x !!str # --- ... % @ ` ${SET} ${NONE} ${NONE:-1} ${SECRET} ${ $$
\\0 \\ud800 \\UFFFFFFFF é 😀
"""
PIECES = st.sampled_from(WORDS.split())
GAPS = st.sampled_from([" ", ": ", ":\n  ", "\n", "\n  ", "- ", ", ", "\t", "\0", "\x85", "\ufeff"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | PIECES
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PIECES, inner, max_size=4),
    max_leaves=15,
)


def section_of(section: type[Sectioned]) -> st.SearchStrategy[dict[str, object]]:
    """Known settings with anything in them."""
    return st.fixed_dictionaries(
        {},
        optional={
            name: below_of(about) if about.section else SCALARS | st.lists(SCALARS, max_size=3)
            for name, (_, about) in fields_with_about(section).items()
        },
    )


def below_of(about: About) -> st.SearchStrategy[object]:
    assert about.section is not None
    section = section_of(about.section)
    names = st.sampled_from(["io", "cpu", "a b", ""])
    return section if about.kind is Kind.SECTION else st.dictionaries(names, section, max_size=3)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.setattr(document, "_PARSER", getattr(yaml, request.param, yaml.SafeLoader))
    with tempfile.TemporaryDirectory() as path, chdir(path):
        yield Folder(Path(path))


def refusal_of(path: str | None, flags: Mapping[str, object]) -> list[str]:
    """The lines of the refusal; none if there are settings, which then go through JSON."""
    try:
        loaded = load_settings(path, flags, ENVIRON)
    except ConfigurationInvalid as refusal:
        return str(refusal).split("\n")
    assert Settings.from_json(loaded.to_json()) == loaded
    return []


def assert_settings_or_refusal(folder: Folder, content: str | bytes) -> None:
    folder.write(content)
    for line in refusal_of("taskd.yaml", {}):
        assert line.isprintable()
        assert "hunter2" not in line


many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@many
@given(st.binary())
def test_any_bytes(folder: Folder, content: bytes) -> None:
    assert_settings_or_refusal(folder, content)


@many
@given(st.text())
def test_any_text(folder: Folder, text: str) -> None:
    assert_settings_or_refusal(folder, text)


@many
@given(st.lists(PIECES | GAPS).map("".join))
def test_any_row_of_pieces_of_a_configuration(folder: Folder, text: str) -> None:
    assert_settings_or_refusal(folder, text)


@many
@given(ANYTHING)
def test_any_tree_of_values(folder: Folder, value: object) -> None:
    assert_settings_or_refusal(folder, yaml.safe_dump(value, allow_unicode=True))


@many
@given(section_of(Settings))
def test_known_settings_with_any_values(folder: Folder, value: object) -> None:
    assert_settings_or_refusal(folder, yaml.safe_dump(value, allow_unicode=True))


@many
@given(
    st.dictionaries(
        st.sampled_from([override.name for override in OVERRIDES]),
        st.text() | st.integers() | st.lists(st.text()) | PIECES,
    )
)
def test_any_flags(folder: Folder, flags: dict[str, object]) -> None:
    assert all(line.isprintable() for line in refusal_of(None, flags))
