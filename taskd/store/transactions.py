"""Transactions in which code that is not ours has a say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg

from taskd.store.connect import Connection, translate_errors


@contextmanager
def part_of_transaction(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Undo what the block has done if it raises, and only that: the rest is the caller's.

    A savepoint in the caller's transaction; on a connection in autocommit without one, a
    transaction. Raises what psycopg raises.
    """
    if not connection.autocommit:
        connection.execute("SELECT")  # or ours would be the outermost block, which commits
    with connection.transaction():
        yield


@contextmanager
def own_transaction(transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
    """Begin and end a transaction with errors of ours; what the block raises comes out as it is.

    Raises DatabaseUnavailable.
    """
    with translate_errors():
        connection = transaction.__enter__()
    try:
        yield connection
    except BaseException as error:
        transaction.__exit__(type(error), error, error.__traceback__)
        raise
    with translate_errors():
        transaction.__exit__(None, None, None)
