from __future__ import annotations

import psycopg

from taskd.cli.waits import Waits, watching


def test_a_statement_is_one_wait_of_its_server(dsn: str) -> None:
    waits = Waits()

    with watching(waits), psycopg.connect(dsn) as connection:
        for number in range(3):
            connection.execute("SELECT pg_sleep(0.05), %s", (number,))

    (key,) = [one for one in waits.seconds if "pg_sleep" in one[1]]
    assert waits.times[key] == 3
    assert waits.seconds[key] >= 0.15
    assert f"/{psycopg.conninfo.conninfo_to_dict(dsn)['dbname']}" in key[0]
    assert ("PostgreSQL", "to connect") in waits.seconds
    assert any(what == "COMMIT" for _, what in waits.seconds)


def test_nothing_is_left_replaced() -> None:
    before = psycopg.Cursor.execute, psycopg.connect, vars(psycopg.Connection)["connect"]

    with watching(Waits()):
        assert psycopg.Cursor.execute is not before[0]

    after = psycopg.Cursor.execute, psycopg.connect, vars(psycopg.Connection)["connect"]
    assert after == before
