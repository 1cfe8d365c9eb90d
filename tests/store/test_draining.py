"""Orders to workers to end, on their way to the master."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from taskd.maintenance.requests import DrainOrder, Requests
from taskd.store import draining, hosts, retention
from taskd.store.audit import list_audit
from taskd.store.connect import Connection
from tests.commands import run_taskd
from tests.crew import Crew
from tests.store.keepers import count, crew
from tests.store.makers import add_host, add_worker
from tests.store.serving import READERS, Served, served

__all__ = ["crew"]
pytestmark = pytest.mark.one_server


@pytest.fixture
def web(dsn: str) -> Iterator[Served]:
    with served(dsn) as found:
        yield found


def test_only_who_lives_is_ordered_and_once(connection: Connection) -> None:
    host = add_host(connection)
    living, ended = add_worker(connection, host), add_worker(connection, host)
    hosts.rescue_workers(connection, [ended], "it was killed", False)

    first = draining.drain_workers(connection, [living, ended, 4711])
    second = draining.drain_workers(connection, [living])

    assert (first, second) == ([living], [living])
    assert count(connection, "SELECT count(*) FROM taskd.request") == 1


def test_an_order_reaches_the_master_of_its_worker_once(crew: Crew, connection: Connection) -> None:
    crew.board.host = add_host(connection)
    worker, other = (add_worker(connection, crew.board.host) for _ in range(2))
    crew.hire(2, worker=worker, pid=4711)
    crew.hire(3, worker=other, pid=4712)
    drained: list[DrainOrder] = []
    requests = Requests(crew.host, lambda: "[]", lambda order: None, lambda: None)
    requests.on_drain = drained.append
    draining.drain_workers(connection, [worker])

    for _ in range(2):
        requests.run(connection)

    assert drained == [DrainOrder(slot=2, pid=4711)]


def test_an_order_to_stop_overtakes_one_to_drain(crew: Crew, connection: Connection) -> None:
    crew.board.host = add_host(connection)
    worker, other = (add_worker(connection, crew.board.host) for _ in range(2))
    crew.hire(2, worker=worker, pid=4711)
    crew.hire(3, worker=other, pid=4712)
    ordered: list[DrainOrder] = []
    requests = Requests(crew.host, lambda: "[]", lambda order: None, lambda: None)
    requests.on_drain = ordered.append

    assert draining.stop_workers(connection, [worker, 4711]) == [worker]
    draining.drain_workers(connection, [worker, other])
    for _ in range(2):
        requests.run(connection)

    assert sorted(ordered, key=lambda one: one.slot) == [
        DrainOrder(slot=2, pid=4711, now=True),
        DrainOrder(slot=3, pid=4712),
    ]


def test_an_order_is_kept_as_long_as_its_worker_lives(connection: Connection) -> None:
    host = add_host(connection)
    living, ended = add_worker(connection, host), add_worker(connection, host)
    draining.drain_workers(connection, [living, ended])
    hosts.rescue_workers(connection, [ended], "it was killed", False)
    connection.execute("UPDATE taskd.request SET created_at = now() - interval '2 minutes'")

    retention.prune_records(connection, 3600.0)

    assert draining.take_drains(connection, [living, ended]) == [living]


@pytest.mark.parametrize("now", [{"worker": 4711, "pid": 4712}, {"pid": 0}])
def test_an_order_to_a_worker_that_has_left_its_slot_reaches_nobody_else(
    crew: Crew, connection: Connection, monkeypatch: pytest.MonkeyPatch, now: dict[str, int]
) -> None:
    crew.board.host = add_host(connection)
    worker = add_worker(connection, crew.board.host)
    crew.hire(2, worker=worker, pid=4711)
    drained: list[DrainOrder] = []
    requests = Requests(crew.host, lambda: "[]", lambda order: None, lambda: None)
    requests.on_drain = drained.append
    draining.drain_workers(connection, [worker])
    seen = crew.host.slots.workers()
    monkeypatch.setattr(crew.host.slots, "workers", lambda: seen)

    crew.hire(2, **{"worker": worker, **now})
    requests.run(connection)

    assert drained == []


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_over_http_an_operator_ends_a_worker_and_it_is_noted(
    web: Served, connection: Connection, verb: str
) -> None:
    worker = add_worker(connection, add_host(connection))

    refused = web.ask(f"/workers/{worker}/{verb}", {}, token=READERS)
    done = web.order(f"/workers/{worker}/{verb}")

    assert (refused.status, done) == (403, {"changed": True})
    assert connection.execute("SELECT kind, worker FROM taskd.request").fetchall() == [
        (verb, worker)
    ]
    assert web.refused(f"/workers/4711/{verb}")[0] == 404
    (entry,) = list_audit(connection, None, 10)
    assert (entry.action, entry.parameters, entry.count) == (f"workers.{verb}", {"id": worker}, 1)


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_over_http_an_operator_ends_all_workers_of_a_host_by_one_order(
    web: Served, connection: Connection, verb: str
) -> None:
    host, other = add_host(connection), add_host(connection)
    first, second = (add_worker(connection, host) for _ in range(2))
    add_worker(connection, other)

    refused = web.ask(f"/hosts/{host}/{verb}", {}, token=READERS)
    done = web.order(f"/hosts/{host}/{verb}")

    assert (refused.status, done) == (403, {"workers": 2})
    ordered = connection.execute("SELECT kind, worker FROM taskd.request ORDER BY worker")
    assert ordered.fetchall() == [(verb, first), (verb, second)]
    assert web.refused(f"/hosts/4711/{verb}")[0] == 404
    (entry,) = list_audit(connection, None, 10)
    assert (entry.action, entry.parameters, entry.count) == (f"hosts.{verb}", {"id": host}, 2)


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_all_workers_of_a_host_are_ordered_by_its_name(
    dsn: str, connection: Connection, verb: str
) -> None:
    host = add_host(connection)
    first, second = (add_worker(connection, host) for _ in range(2))

    def order(*words: str) -> tuple[int, str]:
        said = run_taskd("--database", dsn, "workers", verb, *words)
        return said.exit_code, said.output

    assert order("--all") == order() == order("--host", "here")
    assert order()[0] == order("--all", "io/0", "--host", "here")[0] == 2
    assert order("--all", "--host", "x")[0] == 1
    assert list_audit(connection, None, 10) == []
    assert order("--all", "--host", "here")[1].startswith("2 workers of here: ")
    ordered = connection.execute("SELECT kind, worker FROM taskd.request ORDER BY worker")
    assert ordered.fetchall() == [(verb, first), (verb, second)]
    (entry,) = list_audit(connection, None, 10)
    assert (entry.action, entry.parameters, entry.count) == (f"hosts.{verb}", {"host": "here"}, 2)


def test_a_name_that_several_have_is_refused_with_what_tells_them_apart(
    dsn: str, connection: Connection
) -> None:
    host = add_host(connection)
    first, second = (add_worker(connection, host) for _ in range(2))

    def drain(*words: str) -> tuple[int, str]:
        said = run_taskd("--database", dsn, "workers", "drain", *words)
        return said.exit_code, said.output

    status, said = drain("io/0")
    assert status == 1
    assert all(f"has the id {each}" in said for each in (first, second))
    assert drain("io")[0] == 2
    assert "0 is no id of a worker" in drain("0")[1]
    assert "no worker io/0 runs on elsewhere" in drain("io/0", "--host", "elsewhere")[1]
    told = run_taskd("--database", dsn, "workers", "--json", "drain", str(second))
    assert json.loads(told.stdout)["worker"] == second
    assert draining.take_drains(connection, [first, second]) == [second]
