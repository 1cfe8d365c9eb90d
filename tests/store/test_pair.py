"""Who of two gets which connection, and when there is a second."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskd.errors import DatabaseUnavailable
from taskd.store import pair as pair_module
from taskd.store.connect import Connection
from taskd.store.pair import Pair
from tests.store.keepers import Clock, cut


@pytest.fixture
def pair(dsn: str) -> Iterator[Pair]:
    pair = Pair(dsn, "pair", many=50)
    yield pair
    pair.close()


def pid(pair: Pair) -> int:
    """Which of the server's processes answers."""
    with pair.connection() as connection:
        return connection.info.backend_pid


def test_two_who_take_turns_have_one_connection(pair: Pair) -> None:
    with pair.connection() as connection:
        first = connection.info.backend_pid

    assert pid(pair) == first


def test_the_other_waits_for_his_turn(pair: Pair) -> None:
    with ThreadPoolExecutor(1) as other:
        with pair.connection() as connection:
            waiting = other.submit(pid, pair)
            connection.execute("SELECT pg_sleep(0.05)")
            has_waited = not waiting.done()

        assert (has_waited, waiting.result()) == (True, connection.info.backend_pid)


def test_who_waits_too_long_gets_a_second_one(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_module, "PATIENCE_SECONDS", 0.01)

    with pair.connection() as connection, pair.connection() as another:
        assert connection is not another

    assert pair.is_wide


def test_the_second_is_closed_when_it_was_not_needed_for_a_while(
    pair: Pair, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(pair_module, "monotonic", clock)
    pair.carried(49)
    before = pair.is_wide
    pair.carried(50)
    with pair.connection() as first, pair.connection(apart=True) as second:
        pass

    pair.narrow()
    early = second.closed
    clock.now += pair_module.WIDE_SECONDS
    pair.narrow()

    assert (before, early, second.closed, first.closed) == (False, False, True, False)


def test_what_is_in_use_is_not_given_back(pair: Pair) -> None:
    with pair.connection() as used:
        pair.give_back()
        in_use = not used.closed
    pair.give_back()

    assert (in_use, used.closed) == (True, True)


def test_a_connection_that_the_server_has_cut_is_replaced(
    pair: Pair, connection: Connection
) -> None:
    before = pid(pair)

    cut(connection, "taskd pair")
    with pytest.raises(DatabaseUnavailable), pair.connection() as dead:
        dead.execute("SELECT 1")

    assert pid(pair) != before
