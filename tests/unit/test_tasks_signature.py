from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.errors import ArgumentsMismatch
from taskd.tasks.signature import CallShape


def nothing() -> None: ...
def one(a: int) -> None: ...
def fetch(url: str, n: int = 1) -> None: ...
def positional(a: int, b: int = 2, /) -> None: ...
def named(a: int, *, b: int) -> None: ...
def named_default(a: int, *, b: int = 2) -> None: ...
def many(a: int, *rest: int) -> None: ...
def anything(*args: int, **kwargs: int) -> None: ...
def mixed(a: int, /, b: int, *rest: int, c: int, d: int = 4, **more: int) -> None: ...


FUNCTIONS = [
    nothing, one, fetch, positional, named, named_default, many, anything, mixed
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@given(
    args=st.lists(st.integers(), max_size=5),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "n", "url", "x"]), st.integers()),
)
def test_exactly_what_python_would_call_is_let_through(
    function: Any, args: list[int], kwargs: dict[str, int]
) -> None:
    try:
        function(*args, **kwargs)
        fits = True
    except TypeError:
        fits = False

    try:
        CallShape(function).check(args, kwargs)
        passed = True
    except ArgumentsMismatch:
        passed = False

    assert passed == fits


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ((), {"ur": "x"}, "fetch() got an unexpected keyword argument 'ur' (did you mean 'url'?)"),
        (("x",), {"zzz": 1}, "'zzz': it takes (url, n)"),
        ((), {}, "fetch() missing a required argument: 'url': it takes (url, n)"),
        ((1, 2, 3), {}, "fetch() got 3 positional arguments, too many: it takes (url, n)"),
        ((1,), {"url": 2}, "fetch() multiple values for argument 'url'"),
    ],
)
def test_a_mismatch_says_what_to_do(
    args: tuple[Any, ...], kwargs: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ArgumentsMismatch) as refused:
        CallShape(fetch).check(args, kwargs)

    assert sentence in str(refused.value)


def test_a_decorator_that_adds_an_argument_is_believed() -> None:
    def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function("session", *args)

        return wrapper

    @with_session
    def save(session: str, number: int) -> None: ...

    CallShape(save).check((1,), {})


def test_a_shape_knows_its_parameters() -> None:
    assert "url" in CallShape(fetch)  # type: ignore[arg-type]
    assert "connection" not in CallShape(fetch)  # type: ignore[arg-type]
