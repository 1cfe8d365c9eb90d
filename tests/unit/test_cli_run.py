from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import run_taskd

SHOP = '''
import sys
from taskd import RetryLater, current_job, exclusive, limit, task

@task(name="greeting", queue="mail", concurrency=3, fair_by="name", on_retry="release",
      resources=[exclusive("door"), limit("air", rate="9/s", burst=2)])
def greet(name, *, loud=False):
    """Say hello."""
    print("to stdout")
    return f"hello {name}".upper() if loud else f"hello {name}"

@task
def where():
    return [current_job().task, current_job().queue, current_job().attempt]

def add(a, b):
    return a + b

def fail():
    raise ValueError("no such shop")

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError

def fail_unprintably():
    raise Unprintable

def leave():
    sys.exit(3)

def later():
    raise RetryLater(5)

def give_set():
    return {1}
'''

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def taskd_run(tmp_path: Path) -> Run:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken.py").write_text("x = 1\nimport nowhere\n")

    def taskd(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taskd", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    return taskd


def test_a_function_of_the_current_folder_runs_and_its_result_is_printed(taskd_run: Run) -> None:
    found = taskd_run("run", "shop.add", "[1]", '{"b": 2}')

    assert (found.returncode, found.stdout, found.stderr) == (0, "3\n", "")


def test_a_named_task_is_found_through_the_imports(taskd_run: Run) -> None:
    found = taskd_run("--imports", "shop", "run", "greeting", '["you"]', '{"loud": true}')

    assert found.stdout.splitlines() == ["to stdout", '"HELLO YOU"']


def test_the_task_sees_itself_as_a_job(taskd_run: Run) -> None:
    assert taskd_run("run", "shop.where").stdout == '["shop.where","default",1]\n'


def test_an_exception_shows_the_traceback_of_the_users_code_alone(taskd_run: Run) -> None:
    found = taskd_run("run", "shop.fail")

    assert found.returncode == 1
    assert found.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert "/taskd/cli/" not in found.stderr
    assert found.stderr.endswith("ValueError: no such shop\ntaskd: shop.fail failed\n")


def test_a_module_that_cannot_be_imported_is_shown_with_its_place(taskd_run: Run) -> None:
    found = taskd_run("run", "broken.anything")

    assert found.returncode == 1
    assert "Traceback" in found.stderr
    assert "broken.py:2: ModuleNotFoundError" in found.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["shop.fail_unprintably"], "taskd: shop.fail_unprintably failed"),
        (["shop.leave"], "taskd: shop.leave called sys.exit(3)"),
        (["shop.later"], "taskd: shop.later asked for RetryLater"),
        (["shop.give_set"], "taskd: result: set is not JSON; pass a list"),
        (["shop.add", "[1]"], "taskd: add() missing a required argument: 'b'"),
        (["shop.ad", "[1]"], "taskd: unknown task shop.ad: module shop has no ad"),
        (["shop.Unprintable"], "taskd: shop.Unprintable is a class"),
        (["nowhere.add"], "taskd: unknown task nowhere.add: there is no module nowhere"),
    ],
)
def test_whatever_goes_wrong_is_one_sentence_at_the_end(
    taskd_run: Run, words: list[str], sentence: str
) -> None:
    found = taskd_run("run", *words)

    assert found.returncode == 1
    assert found.stderr.splitlines()[-1].startswith(sentence)
    assert found.stdout == ""


def test_a_name_without_a_module_is_wrong_usage(taskd_run: Run) -> None:
    found = taskd_run("run", "add", "[1, 2]")

    assert found.returncode == 2
    assert "no dotted path" in found.stderr


def test_arguments_that_are_no_json_are_wrong_usage() -> None:
    result = run_taskd("run", "shop.add", "[1, 2")

    assert result.exit_code == 2
    assert "is not JSON" in result.stderr


def test_without_a_daemon_the_tasks_are_those_of_the_imports(taskd_run: Run) -> None:
    table = taskd_run("--imports", "shop", "tasks", "--local")
    sheet = taskd_run("--imports", "shop", "tasks", "--local", "greeting")

    assert table.stdout.splitlines()[1].split()[0] == "greeting"
    assert "(a, b)" in table.stdout
    assert sheet.stdout.startswith("greeting(name, *, loud=False)\n\n    Say hello.\n")
    assert "queue:    mail, priority 5" in sheet.stdout
    assert (
        "needs:    exclusive door, limit air (9/s in bursts of 2)\n"
        "limit:    3 at once\n"
        "fair by:  name\n"
        "          releases its resources between attempts\n"
    ) in sheet.stdout


def test_imports_that_fail_are_a_sentence(taskd_run: Run) -> None:
    found = taskd_run("--imports", "broken", "tasks", "--local")

    assert found.returncode == 1
    assert found.stderr.startswith("taskd: broken.py:2: ModuleNotFoundError")
