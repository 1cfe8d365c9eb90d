"""What YAML means here: lines, words, anchors, and what is no YAML for taskd."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from taskd.config import document
from taskd.config.document import MAX_DEPTH, MAX_VALUES, read_document
from taskd.config.scalars import read_word
from taskd.config.tree import Tree, plant_tree
from taskd.errors import ConfigurationInvalid
from tests.unit.configuration import Folder


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = getattr(yaml, request.param, None)
    if loader is None:
        pytest.skip("PyYAML has been built without libyaml")
    monkeypatch.setattr(document, "_PARSER", loader)


pytestmark = pytest.mark.usefixtures("_parser")


def plant(text: str, **environ: str) -> Tree:
    return plant_tree(read_document(text, "f.yaml"), "f.yaml", environ)


def unreadable(text: str) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        read_document(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("0", 0),
        ("-12", -12),
        ("2.50", 2.5),
        ("1e3", 1000.0),
        ("1.", "1."),
        ("30s", "30s"),
        ("-", "-"),
    ],
)
def test_word_is_a_constant_a_decimal_number_or_itself(word: str, value: object) -> None:
    read = read_word(word)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "word", ["010", "-07", "00", "0x1F", "0o17", "0b11", "1_000", ".inf", "-.INF", ".nan", "01.5"]
)
def test_number_with_several_readings_is_refused_by_name(word: str) -> None:
    with pytest.raises(ValueError, match="more than one reading") as caught:
        read_word(word)

    assert str(caught.value).startswith(f"{word} ")


def test_endless_number_is_refused_and_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match="too many digits") as caught:
        read_word("9" * 5000)

    assert len(str(caught.value)) < 120


@given(st.text())
def test_any_word_is_read_or_a_value_error(word: str) -> None:
    with suppress(ValueError):
        read_word(word)


def test_quoted_word_is_text_whatever_it_looks_like() -> None:
    tree = plant("""{a: "010", b: '5', c: "true", d: "~", e: ''}""")

    assert tree.values == {"a": "010", "b": "5", "c": "true", "d": "~", "e": ""}


def test_key_is_text_whatever_it_looks_like() -> None:
    assert plant("{no: 1, 5: 2, 010: 3}").values == {"no": 1, "5": 2, "010": 3}


def test_every_path_has_its_line() -> None:
    tree = plant("a: 1\nb:\n  c:\n    - x\n    -\n      d: 2\n")

    assert {path: at.line for path, at in tree.positions.items()} == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 4,
        ("b", "c", 1): 6,
        ("b", "c", 1, "d"): 6,
    }


def test_variable_in_a_plain_word_may_become_a_number() -> None:
    tree = plant("a: ${N:-25}\nb: '${N:-25}'\nc: ${M}", M="3")

    assert tree.values == {"a": 25, "b": "25", "c": 3}


def test_empty_variable_is_empty_text_and_no_null() -> None:
    assert plant("a: ${DSN}", DSN="").values == {"a": ""}


def test_value_of_a_variable_is_never_read_as_yaml() -> None:
    value = "x\nb: [1, *c]"

    assert plant("a: ${V}", V=value).values == {"a": value}


def test_key_is_not_substituted() -> None:
    assert plant("${A}: 1", A="b").values == {"${A}": 1}


def test_duplicate_key_names_both_lines_and_keeps_the_first() -> None:
    tree = plant("a:\n  b: 1\n  c: 2\n  'b': 3\n")

    assert [str(fault) for fault in tree.faults] == [
        "f.yaml:4: a.b: is given twice, first on line 2: keep one"
    ]
    assert tree.values == {"a": {"b": 1, "c": 2}}


def test_merge_key_fills_in_what_the_mapping_does_not_say() -> None:
    tree = plant("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]\n")

    assert tree.values["z"] == {"c": 3, "a": 1, "b": 1}
    assert tree.positions["z", "a"].line == 1
    assert not tree.faults


def test_merge_of_something_else_is_refused() -> None:
    tree = plant("a:\n  <<: 5\n  b: 1")

    assert str(tree.faults[0]) == "f.yaml:2: a.<<: takes a mapping or a list of mappings"


def test_key_that_is_no_word_is_refused() -> None:
    assert "has a list or a mapping as a key" in str(plant("? [a]\n: 1").faults[0])


def test_top_level_keys_with_x_are_a_home_for_anchors() -> None:
    tree = plant("x-slow: &slow {timeout: 1h}\npools: {a: *slow}")

    assert tree.values == {"pools": {"a": {"timeout": "1h"}}}


def test_nul_in_quotes_is_refused() -> None:
    assert str(plant('a: "b\\0c"').faults[0]) == "f.yaml:1: a: holds a NUL character: take it out"


def test_faulty_item_leaves_the_places_of_the_others() -> None:
    tree = plant("a: ['${NONE}', b]")

    assert tree.positions["a", 1].line == 1
    assert len(tree.faults) == 1


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a:\n\tb: 1", 2, "is indented with a tab"),
        ("a: b: c", 1, "is not YAML: mapping values are not allowed"),
        ("a: [1,\n2", 2, "is not YAML"),
        ("a: 'b", 1, "is not YAML"),
        ("a: 1\n---\nb: 2", 2, "begins a second document"),
        ("a: !!python/object:os.system {}", 1, "tags are not allowed"),
        ("a: !x 5", 1, "tags are not allowed"),
        ("a: !!str 5", 1, "tags are not allowed"),
        ("a: *b", 1, "*b names no anchor"),
        ("a: &b [*b]", 1, "*b names no anchor"),
        ("a: 1\nb: \0", 2, "holds a NUL"),
        ("a: \x1b", 1, "holds the control character"),
        ("%YAML 3.0\n---\na: 1", 1, "is not YAML"),
        ("@a", 1, "is not YAML"),
    ],
)
def test_what_is_no_yaml_for_us_is_told_with_its_line(text: str, line: int, reason: str) -> None:
    fault = unreadable(text)

    assert fault.startswith(f"f.yaml:{line}: ")
    assert reason in fault


def test_nested_aliases_end_at_the_limit_of_values() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )

    assert f"more than {MAX_VALUES} values" in unreadable(laughs)


def test_merged_aliases_end_at_the_limit_of_values() -> None:
    laughs = "a0: &a0 {k: v, l: v}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30)
    )

    assert f"more than {MAX_VALUES} values" in unreadable(laughs)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_ends_at_the_limit_of_levels(opening: str) -> None:
    assert f"deeper than {MAX_DEPTH} levels" in unreadable(opening * 5000)


def test_nesting_by_aliases_ends_at_the_limit_of_levels() -> None:
    nested = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [[*a{n - 1}]]\n" for n in range(1, 40))

    assert f"deeper than {MAX_DEPTH} levels" in unreadable(nested)


def test_very_many_values_end_at_the_limit() -> None:
    assert f"more than {MAX_VALUES} values" in unreadable("a: [" + "1," * 50_000 + "]")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_file_without_settings_is_refused(text: str, tmp_path: Path) -> None:
    assert "holds no settings" in str(plant(text).faults[0])


@pytest.mark.parametrize(
    ("text", "found"), [("- a\n- b", "a list"), ("hello", "a single value"), ("null", "a single")]
)
def test_file_that_is_no_mapping_is_refused(text: str, found: str) -> None:
    assert str(plant(text).faults[0]).startswith(f"f.yaml:1: holds {found}")


def test_empty_mapping_takes_every_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert Folder(tmp_path).load("{}").lease == 15.0
