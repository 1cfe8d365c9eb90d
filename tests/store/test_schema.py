from __future__ import annotations

import subprocess
import threading
from contextlib import closing

import psycopg
import pytest

from taskd.errors import SchemaForeign, SchemaMissing, SchemaTooNew, SchemaTooOld
from taskd.store import connect, retention, schema
from taskd.store.connect import Connection
from tests.store.makers import add_jobs, places


def test_a_database_without_the_schema_is_told_apart(empty_dsn: str) -> None:
    with closing(connect.connect(empty_dsn)) as connection:
        assert schema.status(connection).version is None
        with pytest.raises(SchemaMissing, match="taskd schema install"):
            schema.check_compatible(connection)


def test_of_many_that_install_at_once_one_does_and_all_find_it_done(empty_dsn: str) -> None:
    ran: list[int] = []

    def install() -> None:
        with closing(connect.connect(empty_dsn)) as connection:
            ran.append(len(schema.install_or_upgrade(connection)))

    threads = [threading.Thread(target=install) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ran) == [0, 0, 0, 0, 0, len(schema.MIGRATIONS)]


def test_a_program_older_than_min_compatible_refuses(connection: Connection) -> None:
    connection.execute("UPDATE taskd.schema_version SET version = 99, min_compatible = 98")

    with pytest.raises(SchemaTooNew, match=r"needs programs that know version 98 or later"):
        schema.check_compatible(connection)
    with pytest.raises(SchemaTooNew):
        schema.install_or_upgrade(connection)


def test_a_newer_schema_that_still_supports_us_is_fine(connection: Connection) -> None:
    connection.execute("UPDATE taskd.schema_version SET version = 99, min_compatible = 1")

    assert schema.check_compatible(connection).version == 99
    assert schema.install_or_upgrade(connection) == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE taskd.schema_version SET fingerprint = 'another'",
        "ALTER TABLE taskd.schema_version DROP COLUMN fingerprint",
    ],
    ids=["edited since", "before fingerprints"],
)
def test_a_schema_that_was_never_released_is_told_apart_before_it_does_harm(
    connection: Connection, change: str
) -> None:
    connection.execute(change.encode())

    with pytest.raises(SchemaForeign, match=r"DROP SCHEMA taskd CASCADE"):
        schema.check_compatible(connection)
    with pytest.raises(SchemaForeign):
        schema.install_or_upgrade(connection)


def test_an_older_schema_says_how_to_upgrade(connection: Connection) -> None:
    connection.execute("UPDATE taskd.schema_version SET version = 0, min_compatible = 0")

    with pytest.raises(SchemaTooOld, match="taskd schema upgrade"):
        schema.check_compatible(connection)


def test_the_printed_script_installs_the_schema(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(schema.print_sql().encode())

    with closing(connect.connect(empty_dsn)) as connection:
        assert schema.check_compatible(connection).version == schema.KNOWN


def test_partitions_are_made_once_and_a_missing_one_is_made_again(connection: Connection) -> None:
    assert retention.make_partitions(connection, 7) == 0
    assert retention.make_partitions(connection, 9) == 8  # two days of four tables
    assert retention.partition_days_ahead(connection) == 9


def test_expired_partitions_are_detached_and_dropped(connection: Connection) -> None:
    expired = [
        part
        for parent in ("history", "attempt", "result")
        for part in retention.expired_partitions(connection, parent, -86400.0 * 2)
    ]

    assert [retention.drop_partition(connection, each) for each in expired] == [True] * len(expired)

    assert {each.parent for each in expired} == {"attempt", "history", "result"}
    assert retention.expired_partitions(connection, "history", -86400.0 * 2) == []


def test_a_partition_under_a_reader_is_left_for_later_and_blocks_no_completion(
    connection: Connection, dsn: str
) -> None:
    (oldest, *_) = retention.expired_partitions(connection, "history", -86400.0 * 2)
    detached = oldest._replace(attached=False)
    connection.execute(
        psycopg.sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(
            psycopg.sql.Identifier("taskd", oldest.parent),
            psycopg.sql.Identifier("taskd", oldest.partition),
        )
    )
    with psycopg.connect(dsn) as reader:
        reader.execute(
            psycopg.sql.SQL("SELECT FROM {}").format(
                psycopg.sql.Identifier("taskd", oldest.partition)
            )
        )

        assert not retention.drop_partition(connection, detached)

    assert retention.drop_partition(connection, detached)


def test_every_script_of_a_migration_runs_unchanged_in_psql(empty_dsn: str) -> None:
    import shutil

    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("needs psql: install a PostgreSQL client")
    run = subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", empty_dsn],
        input=schema.print_sql(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_jobs_go_on_while_partitions_are_made(connection: Connection) -> None:
    with connection.transaction():
        (job,) = add_jobs(connection)
        retention.make_partitions(connection, 12)

    assert places(connection, job) == ["queued"]
