"""Middleware that the configuration names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.cli.probing import probe_imports
from taskd.pool.imports import ImportFailed, import_code
from taskd.tasks.hooks.registry import Hooks
from tests.hook_lines import no_hooks
from tests.unit.configuration import Folder
from tests.unit.tasks_project import user_code

CODE = """
from taskd import Middleware, middleware

class First(Middleware):
    def attempt(self, job, call_next): return call_next()

class Second(First): pass

@middleware
class Registered(First): pass

class Needy(First):
    def __init__(self, dsn): self.dsn = dsn

class Broken(First):
    def __init__(self): 1 / 0

made = Needy("x")
other = 3
"""


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    """A process in which `lshop` can be imported, and with it no hook but its own."""
    monkeypatch.chdir(tmp_path)
    with no_hooks() as made, user_code(tmp_path, monkeypatch) as code:
        code.write("lshop/__init__.py", "")
        code.write("lshop/hooks.py", CODE)
        yield made


def names(hooks: Hooks) -> list[str]:
    return [type(one).__name__ for one in hooks.around_attempt]


def test_listed_middleware_stands_in_the_order_of_the_list(hooks: Hooks) -> None:
    import_code(["lshop"], ["lshop.hooks.Second", "lshop.hooks.made", "lshop.hooks.First"])

    # Registered is the code's own: its decorator ran as the module was imported.
    assert names(hooks) == ["Registered", "Second", "Needy", "First"]


def test_what_is_registered_already_is_not_registered_twice(hooks: Hooks) -> None:
    import_code(["lshop.hooks"], ["lshop.hooks.Registered", "lshop.hooks.First"])

    assert names(hooks) == ["Registered", "First"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("other.hooks.First", r"^middleware: other.hooks.First lies outside of imports \(lshop\)"),
        ("lshop.hooks.Third", "^middleware: module lshop.hooks has no Third$"),
        ("lshop.hooks.other", "^middleware: lshop.hooks.other is no Middleware, but 3$"),
        ("lshop.none.First", "^middleware: lshop.none: ModuleNotFoundError"),
        ("lshop.hooks.Broken", "^lshop/hooks.py:16: ZeroDivisionError"),
        ("lshop.hooks.Needy", "^middleware: lshop.hooks: TypeError: .*'dsn'"),
    ],
)
def test_a_path_that_leads_to_no_middleware_is_a_failed_import(
    hooks: Hooks, path: str, sentence: str
) -> None:
    with pytest.raises(ImportFailed, match=sentence):
        import_code(["lshop"], [path])


def test_check_finds_it_beforehand(hooks: Hooks) -> None:
    found = probe_imports(["lshop"], middleware=["lshop.hooks.No"], greenlets=False, seconds=60)
    fine = probe_imports(["lshop"], middleware=["lshop.hooks.First"], greenlets=False, seconds=60)

    assert found.error == "middleware: module lshop.hooks has no No"
    assert fine.error is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "middleware: [Tracing]",
            "taskd.yaml:1: middleware[0]: 'Tracing' is not a dotted class name such as "
            "shop.hooks.Tracing",
        ),
        (
            "middleware: shop.hooks.Tracing",
            "taskd.yaml:1: middleware: 'shop.hooks.Tracing' is not a list of dotted class names "
            "such as [shop.hooks.Tracing]",
        ),
    ],
)
def test_a_list_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Folder(tmp_path).faults(text) == [fault]
