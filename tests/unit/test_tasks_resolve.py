from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.errors import NotATask, TaskdError, TaskImportFailed, TaskRefused, TaskUnknown
from taskd.tasks.options import DEFAULTS
from taskd.tasks.resolve import resolve
from tests.unit.tasks_project import UserCode, user_code

TASKS = """
import os
import subprocess
from subprocess import Popen
from functools import partial, lru_cache
from rlib.jobs import foreign, foreign_task
from taskd import task

@task(queue="sync")
def fetch(url): ...

@task(name="mail")
def send(): ...

def plain(text): ...

def fetch_all(): ...

async def coroutine(): ...

def generator(): yield 1

class Shop:
    def method(self): ...

shop = Shop()
bound = shop.method
shout = partial(print, "x")
number = 3
remove = os.remove
cached = lru_cache(plain)
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        made.write("rlib/__init__.py", "")
        made.write("rlib/jobs.py", "import taskd\ndef foreign(): ...\n"
                   "@taskd.task\ndef foreign_task(): ...\n")  # fmt: skip
        made.write("rshop/__init__.py", "import os\n")
        made.write("rshop/tasks/__init__.py", TASKS)
        made.write("rshop/tasks/sub.py", "def deep(): ...\n")
        made.write("rshop/other.py", "open('rshop-other-was-imported', 'w')\n")
        made.write("rshop/__main__.py", "open('rshop-main-was-imported', 'w')\n")
        made.write("rshopping.py", "def buy(): ...\n")
        yield made


IMPORTS = ("rshop.tasks",)


def test_a_decorated_function_is_found_by_its_path(code: UserCode) -> None:
    found = resolve("rshop.tasks.fetch", IMPORTS)

    assert found is sys.modules["rshop.tasks"].fetch
    assert found.defaults.queue == "sync"


def test_an_undecorated_function_gets_the_usual_options(code: UserCode) -> None:
    found = resolve("rshop.tasks.plain", IMPORTS)

    assert found.function is sys.modules["rshop.tasks"].plain
    assert (found.name, found.defaults) == ("rshop.tasks.plain", DEFAULTS)


def test_a_task_with_a_name_of_its_own_is_found_by_it(code: UserCode) -> None:
    resolve("rshop.tasks.fetch", IMPORTS)

    assert resolve("mail", IMPORTS).function.__name__ == "send"


def test_a_module_below_an_import_is_allowed_and_imported_when_needed(code: UserCode) -> None:
    assert resolve("rshop.tasks.sub.deep", IMPORTS).function.__name__ == "deep"


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "rshopping.buy",
        "rshop.other.run",
        "rshop.tasks_of_others.run",
        "rlib.jobs.foreign",
        "rlib.jobs.foreign_task",
        "rshop.tasks.foreign",
        "rshop.tasks.foreign_task",
        "rshop.tasks.Popen",
        "rshop.tasks.subprocess.run",
        "rshop.tasks.os.system",
        "rshop.tasks.os.path.join",
        "rshop.tasks.os",
        "rshop.tasks.remove",
        "rshop.tasks.shout",
        "rshop.tasks",
        "fetch",
        "",
    ],
)
def test_what_lies_outside_of_imports_is_refused(code: UserCode, name: str) -> None:
    resolve("rshop.tasks.fetch", IMPORTS)  # so that all of it has been imported

    with pytest.raises(TaskRefused, match=r"outside of imports \(rshop\.tasks\)"):
        resolve(name, IMPORTS)


def test_what_lies_outside_of_imports_is_never_imported(
    code: UserCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(code.folder)

    with pytest.raises(TaskRefused):
        resolve("rshop.other.run", IMPORTS)
    with pytest.raises(TaskUnknown):
        resolve("rshop.__main__.run", ("rshop",))

    assert not list(code.folder.glob("*-was-imported"))


def test_without_imports_nothing_may_be_run(code: UserCode) -> None:
    with pytest.raises(TaskRefused, match="outside of imports, which is empty"):
        resolve("rshop.tasks.fetch", ())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rshop.tasks.Shop", "rshop.tasks.Shop is a class"),
        ("rshop.tasks.Shop.method", "rshop.tasks.Shop is a class: only functions at the top level"),
        ("rshop.tasks.shop", "is a Shop, no plain function"),
        ("rshop.tasks.coroutine", "is an async function"),
        ("rshop.tasks.generator", "is a generator"),
        ("rshop.tasks.bound", "is a method, no plain function"),
        ("rshop.tasks.cached", "is a _lru_cache_wrapper, no plain function"),
        ("rshop.tasks.sub", "is a module: name a function in it"),
    ],
)
def test_what_is_there_but_cannot_be_run_says_why(code: UserCode, name: str, sentence: str) -> None:
    resolve("rshop.tasks.sub.deep", IMPORTS)

    with pytest.raises(NotATask) as refused:
        resolve(name, IMPORTS)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rshop.tasks.fetsh", "module rshop.tasks has no fetsh (did you mean rshop.tasks.fetch?)"),
        ("rshop.tasks.sup.deep", "there is no module rshop.tasks.sup"),
        ("rshop.tasks.__builtins__", "it is no dotted path of a function"),
        ("rshop.tasks.sub-deep.x", "it is no dotted path of a function"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(code: UserCode, name: str, sentence: str) -> None:
    with pytest.raises(TaskUnknown) as refused:
        resolve(name, IMPORTS)

    assert sentence in str(refused.value)


def test_a_name_is_not_near_to_another_for_the_sake_of_its_module(code: UserCode) -> None:
    with pytest.raises(TaskUnknown) as refused:
        resolve("rshop.tasks.zzz", IMPORTS)

    assert "module rshop.tasks has no zzz" in str(refused.value)
    assert "did you mean" not in str(refused.value)


def test_a_value_that_is_no_function_is_refused(code: UserCode) -> None:
    with pytest.raises(TaskdError):
        resolve("rshop.tasks.number", IMPORTS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\nx = = 2\n", "rbroken.py:2: SyntaxError: invalid syntax"),
        ("\nimport not_installed_anywhere\n", "rbroken.py:2: ModuleNotFoundError: No module"),
        ("import json\njson.loads('{')\n", "rbroken.py:2: json.decoder.JSONDecodeError"),
        ("raise SystemExit(3)\n", "rbroken.py:1: SystemExit: 3"),
        ("def f():\n    1 / 0\nf()\n", "rbroken.py:2: ZeroDivisionError: division by zero"),
    ],
)
def test_an_import_that_fails_is_told_with_file_and_line(
    code: UserCode, text: str, sentence: str
) -> None:
    code.write("rbroken.py", text)

    with pytest.raises(TaskImportFailed) as failed:
        resolve("rbroken.run", ("rbroken",))

    assert sentence in str(failed.value)
    assert "rbroken cannot be imported" in str(failed.value)
