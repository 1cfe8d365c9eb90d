"""A database whose encoding cannot hold every text is refused by all who would install there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from math import inf
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from taskd.errors import EncodingUnusable
from taskd.store import connect, schema
from tests.commands import run_taskd
from tests.store.test_maintenance_database import Ear, database

pytestmark = pytest.mark.one_server

REFUSAL = (
    "the encoding of database {} is {}, which cannot hold every text, and taskd needs UTF8: make "
    "another with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it as database"
)


@pytest.fixture(params=["LATIN1", "SQL_ASCII"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def other(empty_dsn: str, encoding: str) -> Iterator[tuple[str, str]]:
    """A database in another encoding, and what is to be said of it."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        name = f"{connection.info.dbname}_other"
        how = f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        connection.execute(f"CREATE DATABASE {name} {how}".encode())
        yield make_conninfo(empty_dsn, dbname=name), REFUSAL.format(name, encoding)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_schema_is_not_installed(other: tuple[str, str]) -> None:
    dsn, refusal = other
    with closing(connect.connect(dsn)) as connection:
        with pytest.raises(EncodingUnusable) as refused:
            schema.install_or_upgrade(connection)
        assert connection.execute("SELECT to_regnamespace('taskd') IS NULL").fetchone() == (True,)

    assert str(refused.value) == refusal


def test_the_command_says_so_in_one_sentence(other: tuple[str, str]) -> None:
    dsn, refusal = other

    result = run_taskd("--database", dsn, "schema", "install")

    assert result.exit_code == 1
    assert result.stderr.strip().removeprefix("taskd: ") == refusal


def test_a_check_finds_a_fault(
    other: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dsn, refusal = other

    result = run_taskd("--database", dsn, "--state-dir", ".", "check")

    said, _, remedy = refusal.partition(": ")
    assert result.exit_code == 1
    assert f"fault    database       {said}\n" in result.stdout
    assert f"remedy: {remedy}\n" in result.stdout


def test_a_daemon_ends_its_start_with_it(other: tuple[str, str]) -> None:
    dsn, refusal = other
    ear = Ear()

    wait = database(ear, dsn).step()

    assert (wait, ear.failures, ear.tries) == (inf, [refusal], [])
