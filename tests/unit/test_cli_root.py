from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from taskd import errors
from taskd.cli import root
from taskd.cli.failure import expected_failures
from tests.commands import run_taskd, taskd_json

HEAVY = ("click", "psycopg", "gevent", "pydantic", "yaml")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_importing_the_command_loads_nothing_heavy() -> None:
    program = f"import sys, taskd.cli; print([m for m in {HEAVY} if m in sys.modules])"

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert found.stdout == "[]\n", found.stderr


def test_help_imports_no_verb() -> None:
    program = (
        "import sys; sys.argv = ['taskd', '--help']\n"
        "import atexit; atexit.register(lambda: print([m for m in sys.modules if m.startswith("
        "('psycopg', 'yaml', 'pydantic', 'gevent', 'taskd.store'))]))\n"
        "from taskd.cli import main; main()"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert found.stdout.endswith("[]\n"), found.stdout + found.stderr


@pytest.mark.parametrize("verb", root.VERBS)
def test_the_help_says_of_a_verb_what_the_verb_says_of_itself(verb: str) -> None:
    module, line = root.VERBS[verb]
    command = getattr(import_module(module), verb)

    assert command.get_short_help_str(limit=200) == line


@pytest.mark.parametrize("verb", root.VERBS)
def test_every_verb_has_help_that_fits_a_terminal(verb: str) -> None:
    result = run_taskd(verb, "--help")

    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 100


def test_an_unknown_verb_names_the_nearest_one() -> None:
    result = run_taskd("job", "list")

    assert result.exit_code == 2
    assert "did you mean 'jobs'" in result.stderr


def test_the_version_is_told() -> None:
    assert run_taskd("--version").stdout.startswith("taskd ")


def test_all_faults_of_a_configuration_are_told_with_status_2(empty_folder: Path) -> None:
    (empty_folder / "taskd.yaml").write_text("pools:\n  io: {greenlets: -3}\nquues: {}\n")

    result = run_taskd("config", "show")

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "taskd.yaml:2: pools.io.greenlets: -3 is not between 1 and 10000",
        "taskd.yaml:3: quues: unknown setting: did you mean queues?",
    ]


def test_a_fault_in_a_flag_names_the_flag() -> None:
    result = run_taskd("--database", "nonsense", "jobs", "list")

    assert result.exit_code == 2
    assert result.stderr.startswith("--database: is not a connection string")


def test_an_unreachable_database_is_one_line_and_status_1() -> None:
    result = run_taskd("--database", "host=/nowhere", "jobs", "list")

    assert result.exit_code == 1
    assert result.stderr.startswith("taskd: host=/nowhere: ")
    assert result.stderr.count("\n") == 1


def test_flags_win_over_variables_in_the_settings_shown() -> None:
    shown = taskd_json(
        "--greenlets", "7", "--log-level", "debug", "config", "show", "--json", TASKD_GREENLETS="9"
    )

    assert shown["pools"]["default"]["greenlets"] == 7
    assert shown["log"]["level"] == "debug"


def test_passwords_are_hidden_wherever_settings_are_shown() -> None:
    dsn = "postgresql://me:secret@db/shop"

    for words in (["config", "show"], ["config", "show", "--json"]):
        result = run_taskd("--database", dsn, "--listen", dsn, *words)
        assert result.exit_code == 0
        assert "secret" not in result.output


def test_the_schema_of_the_file_is_json() -> None:
    assert "pools" in taskd_json("config", "schema")["properties"]


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)]
)
def test_ctrl_c_and_a_closed_pipe_end_a_command_quietly(raised: BaseException, status: int) -> None:
    with pytest.raises(click.exceptions.Exit) as caught, expected_failures():
        raise raised

    assert caught.value.exit_code == status


def test_a_fault_of_taskd_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), expected_failures():
        raise ZeroDivisionError


def test_a_remedy_follows_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.ClickException) as caught, expected_failures():
        raise errors.StatementTimedOut(30)

    caught.value.show()
    assert capsys.readouterr().err == (
        "taskd: no answer from the database within 30 s "
        "(it is overloaded, or the network is cut; try again)\n"
    )


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)

    found = subprocess.run(
        [sys.executable, "-m", "taskd", "schema", "print"], stdout=write_end, stderr=subprocess.PIPE
    )
    os.close(write_end)

    assert found.returncode == 141 or found.stderr == b""
    assert found.stderr == b""


def test_a_state_directory_that_cannot_be_made_is_a_sentence(empty_folder: Path) -> None:
    (empty_folder / "file").touch()

    result = run_taskd("--state-dir", "file", "jobs", "list")

    assert result.exit_code == 1
    assert result.stderr.startswith("taskd: ")
    assert result.stderr.count("\n") == 1
