from __future__ import annotations

from math import inf
from pathlib import Path

import psycopg
import pytest

from taskd.config.settings import PoolSettings, Settings
from taskd.events import Events
from taskd.maintenance.database import Database, connections_for
from taskd.store import hosts, schema
from taskd.store.connect import Connection, connect
from tests.store.makers import add_host


class Ear:
    """Hears how the start goes, and enters a host when asked to."""

    def __init__(self) -> None:
        self.tries: list[str] = []
        self.failures: list[str] = []
        self.ready_with: tuple[int, tuple[str, ...]] | None = None

    def enter(self, connection: Connection) -> int:
        return add_host(connection)

    def waiting(self, error: str) -> None:
        self.tries.append(error)

    def ready(self, host: int, notes: tuple[str, ...]) -> None:
        self.ready_with = host, notes

    def failed(self, error: str) -> None:
        self.failures.append(error)


def database(ear: Ear, dsn: str | None, *, known: bool = False, folder: str = "/tmp") -> Database:
    return Database(Settings(database=dsn, state_dir=folder), ear, Events(), is_known_good=known)


def test_an_empty_database_gets_the_schema_and_the_host(empty_dsn: str) -> None:
    ear = Ear()

    wait = database(ear, empty_dsn).step()

    assert wait == inf
    assert ear.ready_with == (1, ())
    with connect(empty_dsn) as connection:
        assert schema.status(connection).version == schema.KNOWN
        assert [row.id for row in hosts.list_hosts(connection)] == [1]


def test_a_server_that_is_not_there_is_tried_ever_more_slowly_with_a_line_each() -> None:
    ear = Ear()
    unreachable = database(ear, "host=/nowhere-at-all user=me dbname=shop password=hunter2")

    pauses = [unreachable.step() for _ in range(4)]

    assert len(ear.tries) == 4
    assert pauses == sorted(pauses)
    for line, pause in zip(ear.tries, pauses, strict=True):
        assert f"the next try in {pause:.1f} s" in line
        assert "/nowhere-at-all" in line
        assert "hunter2" not in line
        assert "\n" not in line


def test_a_missing_database_is_named_and_not_waited_for(dsn: str) -> None:
    ear = Ear()

    wait = database(ear, psycopg.conninfo.make_conninfo(dsn, dbname="no_such_one")).step()

    assert wait == inf
    (failure,) = ear.failures
    assert "no_such_one" in failure
    assert "the database does not exist" in failure


def test_a_refusal_by_a_database_that_was_in_use_is_waited_out(dsn: str) -> None:
    ear = Ear()

    database(ear, psycopg.conninfo.make_conninfo(dsn, dbname="no_such_one"), known=True).step()

    assert ear.failures == []
    assert len(ear.tries) == 1


def test_a_schema_that_is_too_new_ends_the_start(dsn: str) -> None:
    ear = Ear()
    with connect(dsn) as connection:
        connection.execute("UPDATE taskd.schema_version SET version = 99, min_compatible = 99")

    database(ear, dsn).step()

    assert "upgrade taskd" in ear.failures[0]


def test_a_role_that_may_not_create_the_schema_is_told_so(empty_dsn: str) -> None:
    ear = Ear()
    with connect(empty_dsn) as connection:
        connection.execute("DROP ROLE IF EXISTS nobody_much")
        connection.execute("CREATE ROLE nobody_much LOGIN")

    database(ear, psycopg.conninfo.make_conninfo(empty_dsn, user="nobody_much")).step()

    (failure,) = ear.failures
    assert "permission denied" in failure
    assert "\n" not in failure


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A state directory whose path is short enough for a socket, open to the server's user."""
    path = tmp_path_factory.mktemp("s")
    for parent in (path, *path.parents):
        if parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    return str(path)


@pytest.mark.timeout(180)
def test_without_a_database_the_embedded_one_is_started_and_its_place_told(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKD_KEEPER_GRACE", "0.2")
    ear = Ear()
    embedded = database(ear, None, folder=folder)

    embedded.step()
    dsn = embedded.dsn()

    assert ear.ready_with is not None, (ear.tries, ear.failures)
    assert dsn is not None
    (note,) = ear.ready_with[1]
    assert folder in note
    embedded.revive()
    assert embedded.step() == inf  # it runs: nothing to revive
    with connect(dsn) as connection:
        assert schema.status(connection).version == schema.KNOWN
    embedded.stop()


def test_the_embedded_server_allows_connections_for_all_workers() -> None:
    few = Settings(pools={"io": PoolSettings(processes=4, greenlets=25)})
    many = Settings(pools={"io": PoolSettings(processes=60), "cpu": PoolSettings(processes=20)})

    assert connections_for(few) == 100
    assert connections_for(many) == 80 * 6 + 20
