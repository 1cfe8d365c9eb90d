"""The life of the embedded server: start, use by many, stop."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded import ensure_server, hold, wait_until_stopped
from taskd.store.embedded.postmaster import birth_of
from tests.store.homes import REPOSITORY, Home, made_home, needs_public_wheel, query, seeded_home
from tests.waiting import eventually


@pytest.fixture
def home(first_data: Path) -> Iterator[Home]:
    with seeded_home(first_data) as home:
        yield home


def test_first_call_makes_a_server_that_answers() -> None:
    with made_home() as home:
        server = home.start()

        assert server.started
        assert query(server, "SELECT 1") == 1
        assert server.data_dir == str(home.path / "postgres/data")
        assert query(server, "SHOW server_version").startswith(server.version)


def test_second_call_finds_the_running_server(home: Home) -> None:
    first = home.start()
    second = home.start()

    assert not second.started
    assert second.dsn == first.dsn
    assert home.postmaster == home.status.postmaster


def test_server_stops_cleanly_when_the_last_hold_is_gone(home: Home) -> None:
    home.start()
    pid = home.postmaster

    home.stop()

    assert birth_of(pid) is None
    assert "database system is shut down" in home.log()
    assert not Path(home.folder.data, "postmaster.pid").exists()
    assert not Path(home.folder.status).exists()


def test_server_outlives_one_of_two_users(home: Home) -> None:
    first = home.hold()
    server = home.start()
    first.release()

    assert not wait_until_stopped(home.path, 1)
    assert query(server, "SELECT 1") == 1


def test_hold_ends_with_the_process_that_has_it(home: Home) -> None:
    code = f"from taskd.store.embedded import *; hold({str(home.path)!r}); print('held'); input()"
    user = subprocess.Popen(
        [sys.executable, "-uc", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=os.environ,
    )
    assert user.stdout is not None
    assert user.stdout.readline() == b"held\n"
    home.start()
    home.release()
    assert not wait_until_stopped(home.path, 1)

    user.kill()
    user.communicate()

    assert wait_until_stopped(home.path, 20)


def test_what_was_written_is_there_after_a_stop(home: Home) -> None:
    query(home.start(), "SELECT 1 FROM (SELECT 1) one")
    with psycopg.connect(home.start().dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    home.stop()

    server = home.start()

    assert server.started
    assert query(server, "SELECT answer FROM kept") == 42


def test_releasing_twice_is_harmless(home: Home) -> None:
    held = hold(home.path)

    held.release()
    held.release()


def test_keeper_is_detached_from_whoever_started_it(home: Home) -> None:
    code = f"from taskd.store.embedded import *; ensure_server({str(home.path)!r})"
    home.hold()
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, start_new_session=True
    ) as starter:
        assert starter.wait(60) == 0
    keeper = home.status.keeper

    assert os.getsid(keeper) not in (os.getsid(0), starter.pid)
    assert os.readlink(f"/proc/{keeper}/cwd") == "/"
    assert os.readlink(f"/proc/{keeper}/fd/0") == os.devnull
    assert os.readlink(f"/proc/{keeper}/fd/2") == home.folder.log
    assert Path(f"/proc/{keeper}/comm").read_text() == "taskd-keeper\n"


def test_keeper_inherits_no_descriptor(home: Home) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    home.start()

    os.close(writing)

    assert os.read(reading, 1) == b""  # the end: nobody else has the pipe open
    os.close(reading)


def test_start_leaves_no_descriptor_with_its_creator(home: Home) -> None:
    home.hold()
    before = os.listdir("/proc/self/fd")

    ensure_server(home.path)

    assert os.listdir("/proc/self/fd") == before


def test_keeper_leaves_no_zombie_with_its_creator(home: Home) -> None:
    before = _children()

    home.start()

    assert _children() == before


def _children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_keeper_ends_the_server_when_told_to(home: Home) -> None:
    home.start()
    pid = home.postmaster

    os.kill(home.status.keeper, signal.SIGTERM)

    assert wait_until_stopped(home.path, 20)
    assert birth_of(pid) is None


def test_server_ends_when_its_directory_is_removed(home: Home) -> None:
    home.start()
    keeper, pid = home.status.keeper, home.postmaster

    Path(home.folder.path).rename(home.path / "gone")
    subprocess.run(["rm", "-rf", home.path / "gone"], check=True)

    eventually(lambda: birth_of(pid) is None and birth_of(keeper) is None)


def test_socket_is_for_its_owner_only(home: Home) -> None:
    home.start()
    socket = Path(home.status.socket_dir)

    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE((socket / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_server_listens_on_no_network(home: Home) -> None:
    assert query(home.start(), "SHOW listen_addresses") == ""


def test_server_sees_none_of_the_callers_variables(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGPORT": "6000",
        "PGDATA": "/nowhere",
        "PGOPTIONS": "-c work_mem=123kB",
        "PGTZ": "Asia/Tokyo",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "tr_TR.UTF-8",
        "TASKD_DATABASE": "postgresql://secret@elsewhere/x",
    }.items():
        monkeypatch.setenv(name, value)

    server = home.start()
    monkeypatch.delenv("PGOPTIONS")
    monkeypatch.delenv("PGTZ")

    assert query(server, "SHOW TimeZone") == "UTC"
    assert query(server, "SHOW lc_messages") == "C"
    assert query(server, "SELECT datcollate FROM pg_database LIMIT 1") == "C"
    assert query(server, "SHOW work_mem") == "4MB"
    assert "secret" not in Path(f"/proc/{home.status.keeper}/environ").read_text()


def test_state_directory_may_have_a_long_name() -> None:
    with made_home(name="long-" + "x" * 120) as home:
        server = home.start()
        socket_dir = Path(home.status.socket_dir)

        assert query(server, "SELECT 1") == 1
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700

        home.stop()
        assert not socket_dir.exists()


@needs_public_wheel
@pytest.mark.parametrize("name", ["it's an \"ünïcödé\\", "this, that"])
def test_state_directory_may_have_an_odd_name(name: str) -> None:
    with made_home(name=name) as home:
        assert query(home.start(), "SELECT 1") == 1


def test_short_socket_directory_of_somebody_else_is_not_used() -> None:
    with made_home(name="long-" + "x" * 120) as home:
        home.start()
        first = Path(home.status.socket_dir)
        home.stop()
        first.mkdir(mode=0o755)

        server = home.start()

        assert Path(home.status.socket_dir).name == f"{first.name}-1"
        assert query(server, "SELECT 1") == 1
        first.rmdir()


def test_server_grows_while_nobody_else_uses_it(home: Home) -> None:
    home.start(max_connections=20)

    server = home.start(max_connections=30)

    assert query(server, "SHOW max_connections") == "30"
    assert (server.max_connections, server.notes) == (30, ())


def test_server_in_use_keeps_its_size_and_says_so(home: Home) -> None:
    code = f"from taskd.store.embedded import *; hold({str(home.path)!r}); print(1); input()"
    home.start(max_connections=20)
    with subprocess.Popen(
        [sys.executable, "-uc", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()

        server = home.start(max_connections=30)

        assert query(server, "SHOW max_connections") == "20"
        assert "20 connections where 30 are wanted" in server.notes[0]
        other.kill()


def test_call_without_a_hold_is_served(home: Home) -> None:
    assert ensure_server(home.path).started


def test_unusable_state_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(EmbeddedServerFailed, match=r"file/state.*Not a directory") as failure:
        hold(tmp_path / "file/state")

    assert failure.value.data_dir == str(tmp_path / "file/state/postgres/data")


def test_taking_a_hold_loads_no_driver() -> None:
    code = (
        "import sys; from taskd.store.embedded import hold; "
        "sys.exit(bool({'psycopg', 'gevent', 'pydantic', 'yaml'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_keeper_loads_only_what_its_loop_needs() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); import taskd.store.embedded.keeper; "
        "sys.exit(str({'dataclasses', 'json', 'subprocess', 'socket', 'shutil'} & "
        "set(sys.modules) or ''))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)]

    found = subprocess.run(command, capture_output=True, text=True)

    assert found.stderr.strip() == ""
