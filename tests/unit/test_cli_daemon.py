from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from taskd import __version__
from taskd.cli import daemon
from taskd.cli.interpreter import python_command
from taskd.config.settings import Origin, Settings
from tests.commands import run_taskd


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TASKD_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, words: calls.append([path, *words]))
    return calls


def settings_behind(words: list[str]) -> Settings:
    with open(int(words[-1]), encoding="utf-8") as handed_over:
        return Settings.from_json(handed_over.read())


def test_without_a_verb_the_process_becomes_the_master(executed: list[list[str]]) -> None:
    dsn = "postgresql://me:secret@db/shop"

    run_taskd("--processes", "4", "--greenlets", "25", "--burst", "--database", dsn)

    [[path, *words]] = executed
    assert path == sys.executable
    assert words[-4:-1] == ["-m", "taskd.supervisor", "--settings-fd"]
    assert "secret" not in " ".join(words)
    settings = settings_behind(words)
    assert settings.database == dsn
    assert settings.burst
    assert settings.pools["default"].processes == 4


def test_the_descriptor_of_the_settings_outlives_the_exec() -> None:
    words = daemon.master_command(Settings(database="dbname=shop"))

    program = "import sys; print(open(int(sys.argv[1])).read())"
    found = subprocess.run(
        [sys.executable, "-c", program, words[-1]],
        pass_fds=[int(words[-1])],
        capture_output=True,
        text=True,
    )

    os.close(int(words[-1]))
    assert json.loads(found.stdout)["database"] == "dbname=shop"


def test_faults_keep_the_daemon_from_starting(executed: list[list[str]]) -> None:
    result = run_taskd("--greenlets", "0", "--processes", "x")

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    assert executed == []


@pytest.mark.parametrize("words", [["taskd.cli.resolve"], ["taskd", "config", "show"]])
def test_a_users_queue_py_does_not_stand_in_for_pythons(
    empty_folder: Path, words: list[str]
) -> None:
    for name in ("queue.py", "json.py", "logging.py", "calendar.py"):
        (empty_folder / name).write_text("raise SystemExit('the wrong one')")

    found = subprocess.run([*python_command(words[0]), *words[1:]], capture_output=True, text=True)

    assert found.returncode == 0, found.stderr


def resolve(*flags: str, origin: Origin | None = None) -> subprocess.CompletedProcess[str]:
    descriptors = []
    if origin is not None:
        descriptors = [daemon.handed_over("origin", json.dumps(asdict(origin)))]
        flags = ("--origin-fd", str(descriptors[0]))
    try:
        return subprocess.run(
            [*python_command("taskd.cli.resolve"), *flags],
            pass_fds=descriptors,
            capture_output=True,
            text=True,
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_reload_resolves_the_same_flags_against_the_new_file(empty_folder: Path) -> None:
    (empty_folder / "taskd.yaml").write_text("imports: [shop]\npools: {io: {greenlets: 5}}\n")
    first = Settings.from_json(resolve("--processes=3").stdout)
    (empty_folder / "taskd.yaml").write_text("imports: [shop]\npools: {io: {greenlets: 9}}\n")

    again = Settings.from_json(resolve(origin=first.origin).stdout)

    assert again.pools["io"].greenlets == 9
    assert again.pools["io"].processes == 3
    assert again.origin == first.origin


def test_a_reload_starts_from_the_directory_of_the_first_start(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Settings.from_json(resolve("--state-dir=state", "--burst").stdout)
    (empty_folder / "elsewhere").mkdir()
    monkeypatch.chdir(empty_folder / "elsewhere")

    again = Settings.from_json(resolve(origin=first.origin).stdout)

    assert again.state_dir == str(empty_folder / "state")
    assert again.burst


def test_a_reload_is_refused_when_another_version_is_installed(empty_folder: Path) -> None:
    found = resolve("--running=0.0.9")

    assert found.returncode != 0
    assert found.stdout == ""
    assert "but the daemon runs 0.0.9: restart the daemon" in found.stderr
    assert resolve(f"--running={__version__}").returncode == 0


def test_a_reload_tells_all_faults_and_status_2(empty_folder: Path) -> None:
    (empty_folder / "taskd.yaml").write_text("lease: soon\nlisten: [1]\n")

    found = resolve("--config=taskd.yaml")

    assert found.returncode == 2
    assert found.stdout == ""
    assert [line.split(":")[1] for line in found.stderr.splitlines()] == ["1", "2"]
