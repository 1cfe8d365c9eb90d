"""Faults of the database: gone for a while, killed, locked, full, read-only, contradictory."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import psycopg

from tests.faults.postgres import Postgres
from tests.faults.stand import Fault, Stand
from tests.servers import DEBIAN_POSTGRES
from tests.waiting import eventually

_CUT_TASKD = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'taskd%'
"""

TABLES = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'taskd'::regnamespace
AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""

# What a client of taskd's tables may meet at any statement: of so many writes one raises. How often
# that was counts a sequence, for no rollback takes it back.
_INJECT = """
CREATE SEQUENCE injected.raised_{table};
CREATE FUNCTION injected.raise_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < {share} THEN
        PERFORM nextval('injected.raised_{table}');
        IF random() < 0.5 THEN
            RAISE EXCEPTION 'injected' USING ERRCODE = 'deadlock_detected';
        END IF;
        RAISE EXCEPTION 'injected' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER injected AFTER INSERT OR DELETE OR UPDATE ON taskd.{table}
FOR EACH STATEMENT EXECUTE FUNCTION injected.raise_{table}();
"""

# Of what is written seldom more fails: a host beats once a second.
INJECTED = {
    "queued": 0.02,
    "running": 0.02,
    "history": 0.02,
    "scheduled": 0.05,
    "blocked": 0.05,
    "mail": 0.05,
    "attempt": 0.05,
    "resource": 0.05,
    "host": 0.4,
    "worker": 0.2,
}


def restart(
    stand: Stand, chance: random.Random, *, server: Postgres, number: signal.Signals
) -> None:
    """Stop the server and start it again at once."""
    at = time.time()
    server.restart(number)
    stand.strike(f"restart {number.name}", (), at, time.time())


def outage(stand: Stand, chance: random.Random, *, server: Postgres, seconds: float) -> None:
    """Keep the server away for a while."""
    at = time.time()
    server.stop()
    time.sleep(seconds)
    server.start()
    stand.strike("outage", (), at, time.time())


def _backends(server: Postgres) -> list[int]:
    """The server's processes that serve clients; none while it recovers."""
    with contextlib.suppress(psycopg.OperationalError):
        return server.backends()
    return []


def kill_backend(stand: Stand, chance: random.Random, *, server: Postgres) -> None:
    """kill -9 one server process: the postmaster ends all others and recovers."""
    backends = eventually(partial(_backends, server))
    with contextlib.suppress(ProcessLookupError):
        at = time.time()
        os.kill(chance.choice(backends), signal.SIGKILL)
        stand.strike("kill -9 backend", (), at)


def terminate_backends(
    stand: Stand, chance: random.Random, *, server: Postgres, seconds: float
) -> None:
    """pg_terminate_backend for one connection after another, once there are any."""
    eventually(partial(_backends, server))
    until = time.monotonic() + seconds
    ended = 0
    while time.monotonic() < until:
        with contextlib.suppress(psycopg.OperationalError):
            backends = server.backends()
            if backends:
                server.query(f"SELECT pg_terminate_backend({chance.choice(backends)})")
                ended += 1
        time.sleep(0.1)
    if ended:
        stand.strike("pg_terminate_backend")


def lock_table(stand: Stand, *, server: Postgres, table: str, seconds: float) -> None:
    """Hold a table for oneself alone."""
    with psycopg.connect(server.dsn, options="-c lock_timeout=60s") as connection:
        connection.execute(f"LOCK TABLE taskd.{table} IN ACCESS EXCLUSIVE MODE".encode())
        at = time.time()
        time.sleep(seconds)
        connection.rollback()
    stand.strike(f"lock on {table}", (), at, time.time())


def lock_all_tables(
    stand: Stand, chance: random.Random, *, server: Postgres, seconds: float, at_once: int = 3
) -> None:
    """Hold each of taskd's tables for so long, three at a time, each with a holder of its own."""
    tables = [row[0] for row in server.query(TABLES)]
    chance.shuffle(tables)
    hold = partial(lock_table, stand, server=server, seconds=seconds)
    with ThreadPoolExecutor(at_once) as holders:
        for held in [holders.submit(hold, table=table) for table in tables]:
            held.result()


def read_only(stand: Stand, chance: random.Random, *, server: Postgres, seconds: float) -> None:
    """Let every transaction be read-only, as on a server that was demoted."""
    at = time.time()
    server.set("default_transaction_read_only", "on")
    time.sleep(seconds)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
    stand.strike("read-only", (), at, time.time())


def no_more_connections(
    stand: Stand, chance: random.Random, *, server: Postgres, seconds: float
) -> None:
    """Cut taskd's connections again and again, and take each place that is free before it can."""
    at, cut = time.time(), 0
    with ExitStack() as taken, contextlib.suppress(psycopg.OperationalError):
        own = taken.enter_context(psycopg.connect(server.dsn, autocommit=True))
        while time.time() < at + seconds:
            _take_all(server, taken)
            cut += own.execute(_CUT_TASKD).rowcount
    if cut:
        stand.strike("max_connections", (), at, time.time())


def _take_all(server: Postgres, taken: ExitStack) -> None:
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            greedy = psycopg.connect(server.dsn, application_name="greedy", connect_timeout=2)
            taken.callback(greedy.close)


@contextmanager
def long_transaction(server: Postgres) -> Iterator[None]:
    """A reader who forgets to commit: nothing that dies meanwhile can be cleaned away."""
    with psycopg.connect(server.dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM pg_class")  # locks no table of taskd
        yield


@contextmanager
def injected_errors(server: Postgres) -> Iterator[Callable[[], dict[str, int]]]:
    """Deadlocks and serialization failures out of nothing; it tells how many, by table."""
    server.execute("CREATE SCHEMA injected")
    for table, share in INJECTED.items():
        server.execute(_INJECT.format(table=table, share=share))
    yield lambda: {table: _raised(server, table) for table in INJECTED}
    for table in INJECTED:
        server.execute(f"DROP TRIGGER injected ON taskd.{table}")


def _raised(server: Postgres, table: str) -> int:
    ((count,),) = server.query(
        f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM injected.raised_{table}"
    )
    return int(count)


@contextmanager
def open_dump(server: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    """A pg_dump that has locked all tables and gets no further: nobody reads what it writes."""
    dump = subprocess.Popen(
        [DEBIAN_POSTGRES / "pg_dump", "--dbname", server.dsn, "--schema", "taskd"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield dump
    finally:
        dump.communicate(timeout=60)


def postgres_faults(server: Postgres, seconds: float) -> Mapping[str, Fault]:
    """All that may come at random, by name; each that lasts does so for so many seconds."""
    lasting = {"server": server, "seconds": seconds}
    return {
        "restart SIGINT": partial(restart, server=server, number=signal.SIGINT),
        "restart SIGQUIT": partial(restart, server=server, number=signal.SIGQUIT),
        "restart SIGKILL": partial(restart, server=server, number=signal.SIGKILL),
        "kill -9 backend": partial(kill_backend, server=server),
        "pg_terminate_backend": partial(terminate_backends, **lasting),
        "read-only": partial(read_only, **lasting),
        "max_connections": partial(no_more_connections, **lasting),
    }
