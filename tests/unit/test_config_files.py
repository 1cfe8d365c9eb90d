"""Which file is read, and what happens when it cannot be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from taskd.config.files import MAX_BYTES
from taskd.config.load import load_settings
from taskd.errors import ConfigurationInvalid
from tests.unit.configuration import NOTHING, Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def refusal(path: str | Path | None, **environ: str) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_settings(path, {}, {**NOTHING, **environ})
    return str(caught.value)


def test_file_given_goes_before_the_variable_and_the_default(folder: Folder) -> None:
    folder.write("lease: 1s")
    Path("other.yaml").write_text("lease: 2s")
    Path("given.yaml").write_text("lease: 3s")

    environ = {**NOTHING, "TASKD_CONFIG": "other.yaml"}

    assert load_settings("given.yaml", {}, environ).lease == 3
    assert load_settings(None, {}, environ).lease == 2
    assert load_settings(None, {}, NOTHING).lease == 1


def test_without_any_file_the_defaults_hold(folder: Folder) -> None:
    settings = load_settings(None, {}, NOTHING)

    assert settings.origin.config is None
    assert list(settings.pools) == ["default"]
    assert settings.pools["default"].greenlets == 25


def test_file_is_remembered_by_its_absolute_path(folder: Folder) -> None:
    folder.write("{}")

    origin = load_settings(None, {}, NOTHING).origin

    assert origin.config == str(folder.path / "taskd.yaml")
    assert origin.directory == str(folder.path)


def test_file_elsewhere_is_named_in_full(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("lease: x")
    elsewhere = folder.path / "taskd.yaml"
    (here := folder.path / "here").mkdir()
    monkeypatch.chdir(here)

    assert refusal(elsewhere).startswith(f"{elsewhere}:1: lease: ")


def test_missing_file_is_a_fault_if_it_was_named(folder: Folder) -> None:
    assert refusal("none.yaml") == "none.yaml: there is no such file"
    assert refusal(None, TASKD_CONFIG="none.yaml") == "none.yaml: there is no such file"


def test_dangling_link_is_no_missing_default(folder: Folder) -> None:
    Path("taskd.yaml").symlink_to("gone.yaml")

    assert refusal(None) == "taskd.yaml: there is no such file"


def test_empty_variable_is_a_fault(folder: Folder) -> None:
    assert refusal(None, TASKD_CONFIG="").startswith("TASKD_CONFIG: is set but empty")


def test_directory_is_a_fault(folder: Folder) -> None:
    assert refusal(folder.path) == ".: is a directory: name the file inside it"


@pytest.mark.parametrize("name", ["", "a\0b", "a\n/b", "\udcff", "x" * 5000, "/dev/null/x"])
def test_impossible_name_is_a_fault_on_one_printable_line(folder: Folder, name: str) -> None:
    assert refusal(name).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_a_fault(folder: Folder) -> None:
    folder.write("{}")
    Path("taskd.yaml").chmod(0)

    assert refusal("taskd.yaml") == "taskd.yaml: cannot be read: Permission denied"


def test_file_without_end_is_a_fault(folder: Folder) -> None:
    assert refusal("/dev/zero") == "/dev/zero: is larger than 1 MiB: this is no configuration"


def test_file_as_large_as_allowed_is_read(folder: Folder) -> None:
    text = "lease: 2s\n#"

    assert folder.load(text + "x" * (MAX_BYTES - len(text))).lease == 2


@pytest.mark.parametrize(
    ("content", "line"), [(b"a: 1\nb: caf\xe9\n", 2), ("lease: 1s".encode("utf-16"), 1)]
)
def test_file_that_is_not_utf8_is_a_fault_with_its_line(
    folder: Folder, content: bytes, line: int
) -> None:
    fault = folder.fault(content)

    assert fault.startswith(f"taskd.yaml:{line}: byte 0x")
    assert fault.endswith("is not UTF-8: save the file as UTF-8")


def test_byte_order_mark_and_carriage_returns_do_no_harm(folder: Folder) -> None:
    content = "\ufefflease: 2s\r\nlisten: false\r\n"

    settings = folder.load(content)

    assert (settings.lease, settings.listen) == (2, False)


def test_pipe_is_read_to_its_end(folder: Folder) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("lease: 2s"))
    writer.start()

    assert load_settings("pipe", {}, NOTHING).lease == 2
    writer.join()


def test_relative_paths_start_from_the_folder_of_the_file(folder: Folder) -> None:
    Path("etc").mkdir()
    Path("etc/t.yaml").write_text("state_dir: state\npid_file: ../t.pid\nlog: {file: /tmp/a.log}")

    settings = load_settings("etc/t.yaml", {}, NOTHING)

    assert settings.state_dir == str(folder.path / "etc/state")
    assert settings.pid_file == str(folder.path / "t.pid")
    assert settings.log.file == "/tmp/a.log"


def test_working_directory_that_is_gone_is_no_crash(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder.path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert load_settings(None, {}, NOTHING).origin.directory == "/"
