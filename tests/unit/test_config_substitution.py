from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.config.substitution import holds_reference, substitute

ENVIRON = {"HOST": "db", "EMPTY": "", "PRICE": "$$ ${HOST}"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${HOST}", "db"),
        ("a-${HOST}-${HOST}", "a-db-db"),
        ("${NONE:-x}", "x"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("${HOST:-x}", "db"),
        ("${NONE:-a:-b c}", "a:-b c"),
        ("$${HOST}", "${HOST}"),
        ("$$$$", "$$"),
        ("$HOST costs 5$", "$HOST costs 5$"),
        ("${PRICE}", "$$ ${HOST}"),
    ],
)
def test_variables_are_put_in_as_a_shell_does(text: str, result: str) -> None:
    assert substitute(text, ENVIRON) == result


def test_unset_variable_is_named_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"variable NONE is not set: set it, or write \$\{NONE:-"):
        substitute("${NONE}", ENVIRON)


def test_all_unset_variables_of_a_text_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"NONE is not set.*; .*NEITHER is not set"):
        substitute("${NONE}${NEITHER}${NONE}", ENVIRON)


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A-b}", "${A:?b}", "${A b}", "${A:-${HOST}}"])
def test_other_forms_of_the_shell_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither \$\{VAR\} nor \$\{VAR:-default\}"):
        substitute(text, ENVIRON)


def test_brace_that_is_never_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="closing brace"):
        substitute("a${HOST", ENVIRON)


@given(st.text(alphabet="${}:-AB \n"))
def test_any_text_is_substituted_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert substitute(text, {"A": "a"}) == text or holds_reference(text)
