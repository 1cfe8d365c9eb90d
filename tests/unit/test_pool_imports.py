from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.pool.imports import ImportFailed, import_modules


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, from which modules are imported; forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "poolshop").mkdir()
    (tmp_path / "poolshop" / "__init__.py").write_text("")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("poolshop"):
            del sys.modules[name]


def failure_of(folder: Path, code: str) -> str:
    (folder / "poolshop" / "tasks.py").write_text(code)
    with pytest.raises(ImportFailed) as failed:
        import_modules(["poolshop.tasks"])
    return str(failed.value)


def test_a_syntax_error_is_named_with_the_users_file_and_line(folder: Path) -> None:
    error = failure_of(folder, "x = 1\ndef broken(:\n    pass\n")

    assert error.startswith("poolshop/tasks.py:2: SyntaxError: ")


def test_an_error_deep_in_the_standard_library_is_named_by_the_users_line(folder: Path) -> None:
    error = failure_of(folder, "import json\n\njson.loads('no json')\n")

    assert error.startswith("poolshop/tasks.py:3: json.decoder.JSONDecodeError: ")


def test_a_missing_module_is_named_by_the_line_that_wants_it(folder: Path) -> None:
    error = failure_of(folder, "import sys\nimport no_such_module_at_all\n")

    assert error == (
        "poolshop/tasks.py:2: ModuleNotFoundError: No module named 'no_such_module_at_all'"
    )


def test_a_module_of_imports_that_does_not_exist_is_named(folder: Path) -> None:
    with pytest.raises(ImportFailed, match=r"^imports: poolshop\.none: ModuleNotFoundError"):
        import_modules(["poolshop.none"])


def test_a_module_that_exits_has_failed_to_import(folder: Path) -> None:
    error = failure_of(folder, "import sys\n\nsys.exit(3)\n")

    assert error == "poolshop/tasks.py:3: SystemExit: 3"


def test_an_error_of_another_module_of_the_user_is_named_there(folder: Path) -> None:
    (folder / "poolshop" / "models.py").write_text("1 / 0\n")

    error = failure_of(folder, "from poolshop import models\n")

    assert error == "poolshop/models.py:1: ZeroDivisionError: division by zero"
