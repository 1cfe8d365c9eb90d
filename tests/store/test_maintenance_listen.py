from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest

from taskd.errors import DatabaseUnavailable
from taskd.maintenance import listen as listen_module
from taskd.maintenance.listen import Check, Listener
from taskd.store import notify, schema
from taskd.store.connect import Connection, connect
from taskd.store.shared import SharedLink
from tests.crew import Crew
from tests.servers import start_pgbouncer
from tests.store.keepers import MakeLink, crew, cut, make_link
from tests.store.makers import add_jobs

if TYPE_CHECKING:
    from tests.conftest import TestServer

__all__ = ["crew", "make_link"]


class Bench:
    """A listener whose steps the test takes itself; `check` is sent over `connection`."""

    def __init__(self, crew: Crew, link: SharedLink, connection: Connection) -> None:
        self.crew, self.connection = crew, connection
        self.heard: list[str] = []
        self.joined: list[int] = []
        self.check = Check("me", lambda: None)
        self.listener = Listener(
            link, self.check, self.heard.extend, lambda: self.joined.append(1), crew.host.events
        )

    def join(self) -> None:
        """Subscribe, and let the first token come back."""
        self.hear_one("hello")
        self.check.run(self.connection)
        self.listener.step()

    def hear_one(self, payload: str) -> None:
        """Step until this payload was heard."""
        notify.notify(self.connection, payload)
        self.listener.step()
        if payload not in self.heard:  # sent before it subscribed
            notify.notify(self.connection, payload)
            self.listener.step()

    def step_until_it_pauses(self) -> float:
        """Step until it gives up for a while; for how long."""
        return next(wait for wait in iter(self.listener.step, None) if wait)


@pytest.fixture
def bench(
    crew: Crew, make_link: MakeLink, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setattr(listen_module, "ANSWER_SECONDS", 0.3)
    return Bench(crew, make_link(), connection)


def test_an_enqueue_is_heard_with_queue_lane_count_and_seq(bench: Bench) -> None:
    bench.join()
    bench.heard.clear()

    ids = add_jobs(bench.connection, 3, queue="mail", priority=7, always_notify=True)
    bench.listener.step()

    assert [payload.replace(" ", "") for payload in bench.heard] == [f'["mail",7,3,{ids[0]}]']


def test_it_is_hearing_once_its_own_token_came_back(bench: Bench) -> None:
    bench.listener.step()
    before = bench.listener.is_hearing

    bench.check.run(bench.connection)
    bench.listener.step()

    assert (before, bench.listener.is_hearing) == (False, True)
    assert bench.joined == [1]


def test_a_connection_that_is_cut_is_told_and_joined_again(bench: Bench) -> None:
    bench.join()

    cut(bench.connection, "taskd test 0")
    with pytest.raises(DatabaseUnavailable):
        bench.listener.step()
    hearing = bench.listener.is_hearing
    bench.join()

    assert not hearing
    assert bench.listener.is_hearing
    assert bench.joined == [1, 1]
    lost, again = bench.crew.stories()
    assert "not listening, polling instead" in lost
    assert again == "listening again"


def test_what_is_notified_while_the_connection_is_lent_is_heard(bench: Bench) -> None:
    bench.join()

    with bench.listener.lent() as lent:
        notify.notify(bench.connection, "overheard")
        lent.execute("SELECT 1")
    bench.listener.step()

    assert "overheard" in bench.heard


def test_nothing_is_lent_before_a_token_has_come_back(bench: Bench) -> None:
    bench.hear_one("hello")

    subscribed = bench.listener.is_lendable
    bench.join()

    assert (subscribed, bench.listener.is_lendable) == (False, True)


def test_a_connection_that_fails_in_the_hands_of_another_is_joined_again(bench: Bench) -> None:
    bench.join()

    with pytest.raises(RuntimeError), bench.listener.lent():
        raise RuntimeError
    lendable = bench.listener.is_lendable
    with pytest.raises(DatabaseUnavailable):
        bench.listener.step()
    bench.join()

    assert (lendable, bench.listener.is_lendable) == (False, True)
    assert bench.joined == [1, 1]


def test_a_token_that_does_not_come_back_ends_the_hearing_and_is_told_once(bench: Bench) -> None:
    bench.join()

    for _ in range(2):
        bench.connection.execute("SELECT 1")
        bench.listener.step()
        lose_a_token(bench.check, bench.connection)
        wait = bench.step_until_it_pauses()

    assert wait == 60
    assert not bench.listener.is_hearing
    assert [story for story in bench.crew.stories() if "pooler" in story] == [
        bench.crew.stories()[0]
    ]


def lose_a_token(check: Check, connection: Connection) -> None:
    """Send a token that nobody listens to."""
    connection.execute("BEGIN")
    check.run(connection)
    connection.execute("ROLLBACK")


def test_tokens_of_other_hosts_are_not_taken_for_ours(bench: Bench) -> None:
    bench.listener.step()

    Check("another", lambda: None).run(bench.connection)
    bench.listener.step()

    assert not bench.listener.is_hearing


def test_a_listener_can_be_stopped_at_any_time(bench: Bench) -> None:
    bench.listener.start()
    bench.listener.stop()
    bench.listener.stop()


@pytest.fixture
def behind_a_pooler(debian_server: TestServer, crew: Crew) -> Iterator[Bench]:
    """A listener whose DSN leads through PgBouncer in transaction mode."""
    bouncer = start_pgbouncer(debian_server.dsn)
    name = debian_server.create()
    link = SharedLink(lambda: psycopg.conninfo.make_conninfo(bouncer.dsn, dbname=name), "test")
    connection = connect(debian_server.of(name))
    schema.check_compatible(connection)
    yield Bench(crew, link, connection)
    connection.close()
    link.close()
    bouncer.stop()
    debian_server.drop(name)


@pytest.mark.one_server
def test_behind_a_transaction_pooler_it_notices_that_it_hears_nothing(
    behind_a_pooler: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_module, "ANSWER_SECONDS", 0.3)
    bench = behind_a_pooler
    bench.listener.step()

    bench.check.run(bench.connection)
    wait = bench.step_until_it_pauses()

    assert wait == 60
    assert not bench.listener.is_hearing
    assert "a pooler may stand between" in bench.crew.stories()[0]
