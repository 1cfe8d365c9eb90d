"""The settings of a program that only enqueues."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.config.client import client_settings
from taskd.errors import ConfigurationInvalid
from tests.unit.configuration import NOTHING, Folder, run_python


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def refusal(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        client_settings({**NOTHING, **environ})
    return str(caught.value).splitlines()


def test_database_of_the_environment_needs_no_file(folder: Folder) -> None:
    folder.write("this is: [no YAML")

    settings = client_settings({"TASKD_DATABASE": "host=db", "TASKD_MAX_ARGS": "1kB"})

    assert settings.database == "host=db"
    assert settings.max_args == 1000


def test_without_file_and_variables_the_embedded_database_is_used(folder: Folder) -> None:
    settings = client_settings({"TASKD_STATE_DIR": "s"})

    assert settings.database is None
    assert settings.state_dir == str(folder.path / "s")
    assert settings.max_args == 1024**2


def test_file_is_read_when_no_variable_names_the_database(folder: Folder) -> None:
    folder.write("database: host=db\nstate_dir: /s\nmax_args: 1kB\n")

    settings = client_settings({**NOTHING, "TASKD_MAX_ARGS": "2kB"})

    assert (settings.database, settings.state_dir, settings.max_args) == ("host=db", "/s", 2000)


def test_variables_of_the_daemon_are_no_business_of_a_client(folder: Folder) -> None:
    folder.write("database: host=db\npools: {a: , b: }\n")

    assert client_settings({**NOTHING, "TASKD_GREENLETS": "0"}).database == "host=db"


def test_all_faults_of_the_variables_are_told_at_once(folder: Folder) -> None:
    faults = refusal(TASKD_DATABASE="", TASKD_MAX_ARGS="1", TASKD_STATE_DIR="~nobody-here")

    assert [fault.partition(": ")[0] for fault in faults] == [
        "TASKD_DATABASE",
        "TASKD_STATE_DIR",
        "TASKD_MAX_ARGS",
    ]


def test_fault_of_the_file_is_told_with_its_line(folder: Folder) -> None:
    folder.write("max_args: 1")

    assert refusal() == ["taskd.yaml:1: max_args: 1B is not between 64B and 256MiB"]


def test_password_is_neither_in_the_repr_nor_in_a_fault(folder: Folder) -> None:
    settings = client_settings({"TASKD_DATABASE": "postgresql://u:hunter2@h"})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in refusal(TASKD_DATABASE="postgresql://u:hunter2@h:x")[0]


def test_yaml_is_not_imported_without_a_file(folder: Folder) -> None:
    loaded = run_python(
        "import sys; from taskd.config.client import client_settings; client_settings({}); "
        "print(*sys.modules)"
    )

    assert not {"yaml", "pydantic"} & set(loaded.split())
