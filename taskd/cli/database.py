"""The database that a verb works on: the one configured, or the embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg

from taskd.cli.failure import Failure
from taskd.cli.invocation import current
from taskd.errors import SchemaMissing
from taskd.maintenance.database import LEAST_CONNECTIONS
from taskd.store import connect, schema
from taskd.store.connect import Connection

if TYPE_CHECKING:
    from taskd.config.client import ClientSettings


@contextmanager
def open_jobs() -> Iterator[Connection]:
    """A connection to the database of this invocation, its schema fit for this program.

    A missing schema is installed on the embedded server, which is taskd's own; elsewhere that is
    somebody's decision. Raises what the configuration, the connection or the schema raise.
    """
    client = current().client()
    with open_database(client) as connection:
        try:
            schema.check_compatible(connection)
        except SchemaMissing:
            if client.database is not None:
                raise
            schema.install_or_upgrade(connection)
        yield connection


@contextmanager
def open_database(client: ClientSettings) -> Iterator[Connection]:
    """A connection to the configured or the embedded database, whatever is in it.

    Psycopg's errors leave it as ours: DatabaseUnavailable, or a Failure with the server's words.
    """
    with ExitStack() as held, _words_of_the_server(), connect.translate_errors():
        dsn = client.database or held.enter_context(embedded_server(client.state_dir))
        connection = connect.connect(dsn, application_name="taskd cli")
        held.callback(connection.close)
        yield connection


@contextmanager
def embedded_server(state_dir: str, max_connections: int = LEAST_CONNECTIONS) -> Iterator[str]:
    """The DSN of the embedded server, which stays up as long as this is held.

    Starts it if need be, which takes some seconds. Raises EmbeddedServerFailed.
    """
    from taskd.store.embedded import ensure_server, hold

    users_hold = hold(state_dir)
    try:
        yield ensure_server(state_dir, max_connections).dsn
    finally:
        users_hold.release()


@contextmanager
def _words_of_the_server() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise Failure(f"the database refused: {words}") from error
