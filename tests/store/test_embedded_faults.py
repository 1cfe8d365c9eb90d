"""The embedded server after kills, crashes, half-made directories and full disks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded import ensure_server, wait_until_stopped
from taskd.store.embedded.account import choose_account
from taskd.store.embedded.postmaster import birth_of
from taskd.store.embedded.status import State
from tests.store.homes import (
    REPOSITORY,
    Home,
    made_home,
    needs_public_wheel,
    needs_root,
    query,
    seeded_home,
)
from tests.waiting import eventually

BUSY = """
DO $$
DECLARE until timestamptz := clock_timestamp() + interval '30 s';
BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$
"""


@pytest.fixture
def home(first_data: Path) -> Iterator[Home]:
    with seeded_home(first_data) as home:
        yield home


@pytest.fixture
def empty_home() -> Iterator[Home]:
    with made_home() as home:
        yield home


def _is_up_again(home: Home, dead: int) -> bool:
    status = home.status
    return status.state == State.READY and status.postmaster != dead


def test_keeper_starts_a_killed_server_again(home: Home) -> None:
    server = home.start()
    dead = home.postmaster

    home.kill(dead)
    eventually(lambda: _is_up_again(home, dead))

    assert query(server, "SELECT 1") == 1


def test_server_killed_beside_a_busy_backend_is_back_within_seconds(home: Home) -> None:
    server = home.start()
    dead = home.postmaster
    busy = threading.Thread(target=_be_busy, args=(server.dsn,))
    busy.start()
    eventually(lambda: query(server, "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'DO'"))

    home.kill(dead)
    eventually(lambda: _is_up_again(home, dead), 20)

    assert query(server, "SELECT 1") == 1
    busy.join()


def _be_busy(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute(BUSY)


def test_server_that_crashes_again_and_again_is_started_again(home: Home) -> None:
    server = home.start()

    for _ in range(3):
        dead = home.postmaster
        home.kill(dead)
        eventually(partial(_is_up_again, home, dead), 20)

    assert query(server, "SELECT 1") == 1


def test_server_goes_on_without_its_keeper_and_is_adopted(home: Home) -> None:
    server = home.start()
    pid, keeper = home.postmaster, home.status.keeper
    with psycopg.connect(server.dsn) as connection:
        home.kill(keeper)

        again = home.start()

        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not again.started
    assert (home.postmaster, again.version) == (pid, server.version)
    assert home.status.keeper != keeper
    home.stop()
    assert birth_of(pid) is None


def test_adopted_server_is_started_again_when_it_is_killed(home: Home) -> None:
    server = home.start()
    home.kill(home.status.keeper)
    home.start()
    dead = home.postmaster

    home.kill(dead)
    eventually(lambda: _is_up_again(home, dead))

    assert query(server, "SELECT 1") == 1


def test_server_without_keeper_and_status_is_stopped_and_started(home: Home) -> None:
    home.start()
    pid = home.postmaster
    home.kill(home.status.keeper)
    Path(home.folder.status).unlink()

    server = home.start()

    assert server.started
    assert birth_of(pid) is None
    assert query(server, "SELECT 1") == 1


def test_everything_killed_at_once_loses_nothing_committed(home: Home) -> None:
    with psycopg.connect(home.start().dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    keeper, pid = home.status.keeper, home.postmaster

    os.kill(keeper, signal.SIGKILL)
    home.kill(pid)
    server = home.start()

    assert server.started
    assert query(server, "SELECT answer FROM kept") == 42


def test_keeper_killed_in_its_first_moments_does_no_harm(empty_home: Home) -> None:
    home = empty_home
    home.hold()
    code = f"from taskd.store.embedded import *; ensure_server({str(home.path)!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY) as starter:
        eventually(lambda: Path(f"{home.folder.data}.new", "PG_VERSION").exists())
        keeper = home.status.keeper
        starter.kill()
    home.kill(keeper)

    server = home.start()

    assert query(server, "SELECT 1") == 1
    assert not list(Path(home.folder.path).glob("data.new*"))


def test_pid_file_that_names_a_living_stranger_is_seen_through(home: Home) -> None:
    home.start()
    dead = home.postmaster
    os.kill(home.status.keeper, signal.SIGKILL)
    home.kill(dead)
    with _same_users_process(home) as stranger:
        _write_pid(home, stranger.pid)

        server = home.start()

        assert query(server, "SELECT 1") == 1
        stranger.kill()


def test_pid_file_that_names_a_zombie_is_seen_through(home: Home) -> None:
    home.start()
    dead = home.postmaster
    os.kill(home.status.keeper, signal.SIGKILL)
    home.kill(dead)
    with _same_users_process(home) as zombie:
        zombie.kill()
        eventually(lambda: birth_of(zombie.pid) is None)
        _write_pid(home, zombie.pid)

        server = home.start()

        assert query(server, "SELECT 1") == 1


def _same_users_process(home: Home) -> subprocess.Popen[bytes]:
    options = choose_account(home.folder, "").subprocess_options
    return subprocess.Popen(["sleep", "60"], cwd="/", **options)


def _write_pid(home: Home, pid: int) -> None:
    for name in ("data/postmaster.pid", "run/.s.PGSQL.5432.lock"):
        path = Path(home.folder.path, name)
        path.write_text("\n".join([str(pid), *path.read_text().split("\n")[1:]]))


@needs_public_wheel
def test_server_that_somebody_else_started_on_the_data_is_not_disturbed(home: Home) -> None:
    server = home.start()
    home.stop()
    options = choose_account(home.folder, "").subprocess_options
    command = [f"{server.bin_dir}/postgres", "-D", home.folder.data, "-k", home.folder.run]
    with subprocess.Popen([*command, "-c", "listen_addresses="], cwd="/", **options) as theirs:
        eventually(lambda: Path(home.folder.run, ".s.PGSQL.5432").exists())

        with pytest.raises(EmbeddedServerFailed, match="already exists"):
            home.start()

        assert theirs.poll() is None
        theirs.send_signal(signal.SIGINT)


def test_logout_that_removes_shared_memory_is_survived(home: Home) -> None:
    server = home.start()
    maps = Path(f"/proc/{home.postmaster}/maps").read_text()
    for path in set(re.findall(r"/dev/shm/PostgreSQL\.\d+", maps)):
        Path(path).unlink()

    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SET debug_parallel_query = on")
        connection.execute("SET parallel_setup_cost = 0")
        row = connection.execute("SELECT count(*) FROM pg_class").fetchone()

    assert row is not None


def test_log_is_bounded(home: Home) -> None:
    server = home.start()
    with Path(home.folder.log).open("ab") as log:
        log.truncate(9 * 1024 * 1024)

    eventually(lambda: Path(f"{home.folder.log}.1").exists())
    eventually(lambda: Path(home.folder.log).stat().st_size < 100_000)

    with pytest.raises(psycopg.Error):
        query(server, "SELECT 1/0")
    assert "division by zero" in home.log()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """An empty file system of 64 MB."""
    needs_root()
    with made_home() as outer:
        disk = outer.path.parent / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "taskd-tests", str(disk)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("needs to mount a file system: run the tests with CAP_SYS_ADMIN")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)


def _fill(disk: Path, leave: int) -> Path:
    filler = disk / "filler"

    def is_filled() -> bool:  # not if the server has written meanwhile
        free = shutil.disk_usage(disk).free
        with filler.open("wb") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, free - leave)
            return True
        return False

    eventually(is_filled)
    return filler


def test_full_disk_at_the_first_start_is_named(small_disk: Path) -> None:
    with made_home(parent=small_disk) as home:
        _fill(small_disk, leave=10_000_000)

        with pytest.raises(EmbeddedServerFailed, match="No space left on device"):
            home.start()

        assert not Path(home.folder.data).exists()
        (small_disk / "filler").unlink()


def test_full_disk_at_a_later_start_is_named_and_mended(small_disk: Path) -> None:
    with made_home(parent=small_disk) as home:
        home.start()
        home.stop()
        filler = _fill(small_disk, leave=0)

        with pytest.raises(EmbeddedServerFailed, match=r"[Nn]o space"):
            home.start()
        filler.unlink()

        assert query(home.start(), "SELECT 1") == 1


def test_disk_that_fills_up_later_leaves_keeper_and_server_alive(small_disk: Path) -> None:
    with made_home(parent=small_disk) as home:
        server = home.start()
        keeper, pid = home.status.keeper, home.postmaster
        with Path(home.folder.log).open("ab") as log:
            log.truncate(9 * 1024 * 1024)
        filler = _fill(small_disk, leave=0)

        eventually(lambda: Path(home.folder.log).stat().st_size < 100_000)

        assert query(server, "SELECT 1") == 1
        assert (home.status.keeper, home.postmaster) == (keeper, pid)
        assert birth_of(keeper) is not None
        filler.unlink()


def test_failure_is_told_at_once_and_tried_anew_at_the_next_call(empty_home: Home) -> None:
    home = empty_home
    Path(home.folder.data).mkdir(parents=True)
    stranger = Path(home.folder.data, "notes.txt")
    stranger.write_text("not a database")
    began = time.monotonic()

    with pytest.raises(EmbeddedServerFailed, match="not empty"):
        home.start()

    assert time.monotonic() - began < 20
    assert stranger.exists()
    stranger.unlink()
    assert ensure_server(home.path).started


def test_first_failed_start_leaves_no_keeper(empty_home: Home) -> None:
    home = empty_home
    Path(home.folder.data).mkdir(parents=True)
    Path(home.folder.data, "notes.txt").write_text("not a database")

    with pytest.raises(EmbeddedServerFailed):
        home.start()

    assert wait_until_stopped(home.path, 5)
