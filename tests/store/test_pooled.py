"""The pool of clients and of jobs after an outage: there again as soon as the server is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from taskd.store.connect import Connection, connection_pool

pytestmark = pytest.mark.one_server

MakePool = Callable[..., ConnectionPool[Connection]]


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    with ExitStack() as opened:

        def make(dsn: str) -> ConnectionPool[Connection]:
            pool = connection_pool(dsn, 4)
            opened.callback(pool.close)
            return pool

        yield make


def open_all(pool: ConnectionPool[Connection]) -> list[int]:
    """Let the pool have all its connections; the pids of their servers."""
    with ExitStack() as used:
        opened = [used.enter_context(pool.connection()) for _ in range(4)]
        return [connection.info.backend_pid for connection in opened]


def test_connections_that_an_outage_has_cut_cost_no_time(
    dsn: str, connection: Connection, make_pool: MakePool
) -> None:
    pool = make_pool(dsn)
    pids = open_all(pool)
    connection.execute("SELECT pg_terminate_backend(p, 5000) FROM unnest(%s) AS p", [pids])
    begun = time.monotonic()

    with pool.connection() as fresh:
        assert fresh.info.backend_pid not in pids

    assert time.monotonic() - begun < 1.0


def test_the_server_is_used_soon_after_it_is_back(
    dsn: str, make_pool: MakePool, tmp_path: Path
) -> None:
    sockets = tmp_path / "run"
    pool = make_pool(psycopg.conninfo.make_conninfo(dsn, host=str(sockets)))
    real = psycopg.conninfo.conninfo_to_dict(dsn)["host"]
    back_at: list[float] = []

    def come_back() -> None:
        back_at.append(time.monotonic())
        sockets.symlink_to(str(real))

    timer = threading.Timer(3.2, come_back)  # by then a pause that doubles would be four seconds
    timer.start()
    with pool.connection() as fresh:
        waited = time.monotonic() - back_at[0]
        assert fresh.execute("SELECT 1").fetchone() == (1,)

    timer.join()
    assert waited < 2.0


def test_an_outage_that_lasts_is_told(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(f"host={tmp_path} dbname=nowhere")

    with pytest.raises(psycopg.OperationalError, match=r"after 0\.50 sec"):
        pool.getconn(0.5)


def test_a_long_outage_leaves_nobody_in_line_who_does_not_wait(
    make_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskd.store.pooled.TRY_SECONDS", 0.02)
    pool = make_pool(f"host={tmp_path} dbname=nowhere")

    with pytest.raises(psycopg.OperationalError):
        pool.getconn(0.5)

    assert pool.get_stats()["requests_waiting"] <= 1


def test_who_is_interrupted_while_a_connection_is_checked_takes_none_away(
    dsn: str, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(dsn)
    open_all(pool)

    def interrupt(connection: Connection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("taskd.store.pooled.check_connection", interrupt)
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                pool.getconn(5.0)

    assert len(open_all(pool)) == 4
