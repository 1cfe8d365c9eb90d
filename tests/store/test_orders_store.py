"""What orders need of the store, on every server: choices, deletion, audit log, marks, health."""

from __future__ import annotations

from taskd.store import audit, choice, marks
from taskd.store import server_health as health
from taskd.store.connect import Connection
from taskd.store.rows import JobFilter, State
from taskd.store.waits import one_moment
from tests.store.makers import add_jobs, add_worker, claim, places
from tests.store.test_statistics import succeed

WAITING = (State.QUEUED, State.SCHEDULED)


def test_a_choice_is_bounded_and_says_where_to_go_on(connection: Connection) -> None:
    ids = add_jobs(connection, 5)
    late = add_jobs(connection, 1, delay=600)
    with one_moment(connection):
        first = choice.choose_jobs(connection, JobFilter(task="shop.sync", limit=4), WAITING)
        rest = choice.choose_jobs(
            connection,
            JobFilter(task="shop.sync", limit=4, before=first.next_before),
            WAITING,
        )

    assert (first.ids, rest.ids) == ([*late, *ids[:1:-1]], ids[1::-1])
    assert rest.next_before is None


def test_a_choice_holds_no_job_in_another_state(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = add_jobs(connection, 3)
    succeed(connection, worker, claim(connection, worker, 1))
    claim(connection, worker, 1)

    with one_moment(connection):
        chosen = choice.choose_jobs(connection, JobFilter(task="shop.sync"), WAITING)

    assert chosen.ids == ids[2:]
    assert choice.among(connection, [*ids, 4711], WAITING) == ids[2:]
    assert choice.among(connection, ids, (State.SUCCEEDED,)) == ids[:1]


def test_only_what_has_ended_is_deleted(connection: Connection) -> None:
    worker = add_worker(connection)
    ended, queued = add_jobs(connection, 2)
    succeed(connection, worker, claim(connection, worker, 1))

    assert choice.delete_jobs(connection, [ended, queued]) == 1

    assert (places(connection, ended), places(connection, queued)) == ([], ["queued"])


def test_the_audit_log_is_read_newest_first_and_pruned_by_age(connection: Connection) -> None:
    for action in ("old", "new"):
        audit.write_audit(connection, ("operator", "::1"), action, {"a": [1]}, 3)
    connection.execute(
        "UPDATE taskd.audit_log SET at = now() - interval '2 s' WHERE action = 'old'"
    )

    new, old = audit.list_audit(connection, None, 10)

    assert (new.action, new.parameters, new.count) == ("new", {"a": [1]}, 3)
    assert audit.list_audit(connection, new.id, 10) == [old]
    assert audit.prune_audit(connection, 1) == 1
    assert [row.action for row in audit.list_audit(connection, None, 10)] == ["new"]


def test_a_mark_keeps_what_is_not_changed_and_is_gone_when_it_says_nothing(
    connection: Connection,
) -> None:
    key = ("shop.sync", "KeyError: '…'" + "x" * 4000)
    marks.mark_failure(connection, *key, acknowledged=True)
    marks.mark_failure(connection, *key, note="known")

    mark = marks.list_marks(connection)[key]
    assert (mark.acknowledged_at is not None, mark.muted, mark.note) == (True, False, "known")

    marks.mark_failure(connection, *key, note="")
    marks.mark_failure(connection, *key, acknowledged=False)
    assert marks.list_marks(connection) == {}


def test_old_marks_are_forgotten_unless_they_mute_or_say_something(connection: Connection) -> None:
    marks.mark_failure(connection, "", "a", acknowledged=True)
    marks.mark_failure(connection, "", "b", muted=True)
    marks.mark_failure(connection, "", "c", note="known")
    connection.execute("UPDATE taskd.failure_mark SET changed_at = now() - interval '1 hour'")

    assert marks.prune_marks(connection, 60) == 1

    assert sorted(cause for _, cause in marks.list_marks(connection)) == ["b", "c"]


def test_the_health_of_a_database_is_told(connection: Connection) -> None:
    server = health.find_server(connection)

    assert server.connections <= server.max_connections
    assert "queued" in {table.name for table in health.list_tables(connection)}
    assert connection.info.backend_pid not in {
        each.pid for each in health.list_transactions(connection)
    }
    assert sum(each.connections for each in health.count_connections(connection)) >= 1
