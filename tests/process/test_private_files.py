"""What a daemon writes is for its owner alone, whatever his umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.daemon import Project
from tests.store.homes import Home, made_home
from tests.waiting import eventually

pytestmark = pytest.mark.one_server


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(*places: Path) -> dict[str, str]:
    """The modes of these files, and of all files in these folders."""
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place])]
    return {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in files if file.is_file()}


def test_pid_file_log_and_state_are_closed_to_others(project: Project, open_umask: None) -> None:
    left = project.write("old.pid", "1")
    left.chmod(0o666)
    project.write("taskd.yaml", "imports: [shop]\nlog: {file: daemon.log}\n")
    log = project.folder / "daemon.log"
    daemon = project.start("--pid-file", str(left), ready=False)
    try:
        eventually(lambda: log.exists() and "ready: " in log.read_text())
        found = modes(project.folder / "state", log, left)

        assert {"daemon.log", "old.pid"} < found.keys()
        assert {name.rpartition(".")[2] for name in found} == {"log", "pid", "master", "tree"}
        assert set(found.values()) == {"0o600"}
        assert stat.S_IMODE((project.folder / "state/run").stat().st_mode) == 0o700
    finally:
        daemon.stop()


def test_files_of_the_embedded_server_are_closed_to_others(open_umask: None) -> None:
    with made_home() as home:
        home.start()

        found = modes(*(file for file in Path(home.folder.path).iterdir() if file.is_file()))

        assert found.keys() >= {
            "status",
            "postgres.log",
            "keeper.lock",
            "server.lock",
            "users.lock",
        }
        assert set(found.values()) == {"0o600"}
        assert folder_modes(home) == {"data": "0o700", "run": "0o700"}


def folder_modes(home: Home) -> dict[str, str]:
    return {
        Path(folder).name: oct(stat.S_IMODE(os.stat(folder).st_mode))
        for folder in (home.folder.data, home.folder.run)
    }
