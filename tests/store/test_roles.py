"""What members of taskd_daemon, taskd_enqueuer and taskd_reader can do, and that it is all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import psycopg
import pytest
from psycopg import errors as pg
from psycopg import sql

import taskd
from taskd.errors import DatabaseRefused, JobUnknown, ParentUnknown
from taskd.store import hosts, jobs, mail, retention, roles, schema, statistics
from taskd.store.connect import Connection
from taskd.store.graph import enqueue_graph
from taskd.store.look import fetch_job
from taskd.store.own_jobs import fetch_own_states
from taskd.store.rows import JobEnd, NewGraph, NewJob, NewJobs
from taskd.store.tasks import find_task
from taskd.tasks.options import DEFAULTS
from taskd.tasks.publish import describe
from taskd.web.stacks import ONLY_READS
from tests.commands import run_taskd, taskd_json
from tests.store.asking import site
from tests.store.logins import BOARD, DAEMON, OTHER, STRANGER, WEB, dsn_of, logged_in, make_logins
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of, places

ROLES = ("taskd_enqueuer", "taskd_reader")


@pytest.fixture(autouse=True)
def logins(connection: Connection) -> None:
    make_logins(connection)


@pytest.fixture
def daemon(dsn: str) -> Iterator[Connection]:
    with logged_in(dsn, DAEMON) as found:
        yield found


@pytest.fixture
def web(dsn: str) -> Iterator[Connection]:
    with logged_in(dsn, WEB) as found:
        yield found


@pytest.fixture
def board(dsn: str) -> Iterator[Connection]:
    with logged_in(dsn, BOARD) as found:
        yield found


def new_job(**options: Any) -> NewJob:
    return NewJob(task="shop.sync", args="[1]", **options)


def one(connection: Connection, **options: Any) -> int:
    """The id that the enqueue of a graph of one job gives."""
    (found,) = enqueue_graph(connection, NewGraph((new_job(**options),)))
    return found


def finish(connection: Connection, state: str = "s", result: str | None = "42") -> int:
    """Claim the next job and end it; its id."""
    worker = add_worker(connection)
    (row, *_) = claim(connection, worker, 1)
    error = None if state == "s" else "ValueError: secret"
    jobs.complete_jobs(
        connection, worker, [JobEnd(row[0], fence_of(row), 0.1, state, result, error, "trace")]
    )
    return int(row[0])


# -- the roles themselves ----------------------------------------------------------------------


def test_applying_them_again_changes_nothing_and_takes_what_is_too_much(
    connection: Connection,
) -> None:
    before = grants(connection)
    connection.execute("GRANT DELETE ON taskd.queued TO taskd_reader")
    connection.execute("GRANT EXECUTE ON FUNCTION taskd.ask_reports_v1() TO PUBLIC")
    connection.execute("GRANT UPDATE (task) ON taskd.queued TO taskd_enqueuer")

    roles.apply_roles(connection)

    assert grants(connection) == before


def grants(connection: Connection) -> list[Any]:
    return connection.execute(
        "SELECT relname::text, relacl::text, relowner FROM pg_class "
        "WHERE relnamespace = 'taskd'::regnamespace "
        "UNION ALL SELECT proname, proacl::text, proowner FROM pg_proc "
        "WHERE pronamespace = 'taskd'::regnamespace "
        "UNION ALL SELECT attname, attacl::text, attrelid FROM pg_attribute "
        "WHERE attacl IS NOT NULL ORDER BY 1, 2, 3"
    ).fetchall()


def test_the_printed_script_is_what_is_applied(connection: Connection, dsn: str) -> None:
    before = grants(connection)

    printed = run_taskd("schema", "roles")
    connection.execute(printed.stdout.encode())
    applied = run_taskd("--database", dsn, "schema", "roles", "--apply")

    assert printed.exit_code == 0
    assert "taskd_reader are as they must be" in applied.stdout
    assert grants(connection) == before


def test_the_printed_script_runs_in_psql(dsn: str) -> None:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("needs psql: install a PostgreSQL client")
    run = subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn],
        input=roles.print_roles(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")


def test_the_owner_of_the_schema_can_apply_them_and_goes_on(
    connection: Connection, empty_dsn: str
) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS shop_owner")
        admin.execute("CREATE ROLE shop_owner LOGIN CREATEROLE")
        admin.execute("GRANT taskd_daemon TO shop_owner WITH ADMIN OPTION")
        grant = sql.SQL("GRANT CREATE ON DATABASE {} TO shop_owner")
        admin.execute(grant.format(sql.Identifier(admin.info.dbname)))
        with logged_in(empty_dsn, "shop_owner") as owner:
            schema.install_or_upgrade(owner)
            roles.apply_roles(owner)
            (job,) = add_jobs(owner)
            retention.make_partitions(owner, 9)
            assert places(owner, job) == ["queued"]
        admin.execute("DROP OWNED BY shop_owner CASCADE")
        admin.execute("DROP ROLE shop_owner")


def test_who_has_no_role_gets_nothing(dsn: str) -> None:
    with logged_in(dsn, STRANGER) as stranger:
        for statement in (
            "SELECT FROM taskd.schema_version",
            "SELECT FROM taskd.job",
            "SELECT taskd.own_states_v1('{1}')",
            "SELECT taskd.enqueue_own_graph_v1('[]', true)",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                stranger.execute(statement)


def test_only_three_functions_run_with_their_owners_rights_and_none_finds_a_name_of_the_callers(
    connection: Connection,
) -> None:
    found = connection.execute(
        "SELECT proname, array_to_string(proconfig, ';'), pg_get_userbyid(proowner), "
        "has_function_privilege('shop_x', oid, 'EXECUTE') FROM pg_proc "
        "WHERE pronamespace = 'taskd'::regnamespace AND prosecdef ORDER BY 1"
    ).fetchall()

    fixed = "search_path=pg_catalog, pg_temp", "taskd_daemon", False
    assert found == [
        ("enqueue_own_graph_v1", *fixed),
        ("enqueue_own_jobs_v1", *fixed),
        ("own_states_v1", *fixed),
    ]


def test_an_enqueuers_own_functions_are_never_called_for_the_owner(
    connection: Connection, dsn: str
) -> None:
    connection.execute("CREATE SCHEMA evil AUTHORIZATION shop_web")
    with logged_in(dsn, WEB) as web:
        web.execute(
            "CREATE FUNCTION evil.cardinality(text[]) RETURNS integer LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION 'called as %', current_user; END $$"
        )
        web.execute("CREATE TEMP TABLE queued (id bigint)")
        web.execute("SET search_path = evil, pg_temp, pg_catalog")

        (job,) = add_jobs(web)

        assert [row.id for row in fetch_own_states(web, [job])] == [job]
    assert places(connection, job) == ["queued"]


# -- taskd_daemon ------------------------------------------------------------------------------


def test_a_daemon_can_do_the_whole_work(daemon: Connection) -> None:
    assert schema.install_or_upgrade(daemon) == ()
    (job,) = add_jobs(daemon)

    assert finish(daemon) == job
    mail.dispatch(daemon)
    statistics.roll_up(daemon)
    statistics.note_backlog(daemon)
    assert retention.make_partitions(daemon, 9) > 0
    retention.prune_records(daemon, 0)

    assert fetch_job(daemon, job) is not None


def test_a_partition_that_one_daemon_made_another_can_drop(
    connection: Connection, daemon: Connection, dsn: str
) -> None:
    retention.make_partitions(daemon, 9)
    connection.execute("GRANT taskd_daemon TO shop_x")
    try:
        with logged_in(dsn, STRANGER) as second:
            expired = retention.expired_partitions(second, "history", -86400.0 * 12)
            assert len(expired) == 11
            assert all(retention.drop_partition(second, each) for each in expired)
    finally:
        connection.execute("REVOKE taskd_daemon FROM shop_x")


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE public.mine ()", "CREATE ROLE mine", "CREATE SCHEMA mine"]
)
def test_a_daemon_may_do_nothing_beside_its_schema(daemon: Connection, statement: str) -> None:
    # PostgreSQL 14 lets everybody create tables in public, which is not ours to take.
    daemon.execute("SELECT")
    if "public" in statement and daemon.info.server_version < 150000:
        pytest.skip("PUBLIC may do that before PostgreSQL 15")
    with pytest.raises(pg.InsufficientPrivilege):
        daemon.execute(statement.encode())


# -- taskd_enqueuer ----------------------------------------------------------------------------


def test_an_enqueuer_enqueues_and_sees_the_states_of_its_jobs(
    web: Connection, connection: Connection
) -> None:
    plain, late = add_jobs(web)[0], add_jobs(web, delay=60.0)[0]
    needy = one(web, res=("repo:1",), need=(2147483647,))
    child = one(web, parents=(plain,))
    finish(connection)

    found = {row.id: row for row in fetch_own_states(web, [plain, late, needy, child])}

    assert {job: str(row.state) for job, row in found.items()} == {
        plain: "succeeded",
        late: "scheduled",
        needy: "queued",
        child: "queued",
    }
    assert found[plain].has_result
    assert found[plain].states_only


def test_the_python_of_an_enqueuer_is_the_usual_one(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    taskd.configure(database=dsn_of(dsn, WEB))
    foreign = add_jobs(connection)[0]
    finish(connection)
    try:
        good = taskd.enqueue("shop.sync", 1)
        bad = taskd.enqueue("shop.sync", 2)
        with psycopg.connect(dsn_of(dsn, WEB)) as own:
            third = taskd.enqueue("shop.sync", 3, connection=own)
        assert [job.state for job in (good, bad, third)] == ["queued"] * 3
        assert [finish(connection), finish(connection, "f")] == [good.id, bad.id]
        assert finish(connection, result=None) == third.id

        assert (good.state, bad.state, third.result(5)) == ("succeeded", "failed", None)
        assert (bad.error, good.refresh().args) == (None, [])
        for job in (good, bad):
            with pytest.raises(DatabaseRefused, match="needs GRANT taskd_reader"):
                job.result(5)
        with pytest.raises(JobUnknown):
            _ = taskd.Job(foreign).state
        for refused in (good.cancel, bad.requeue, good.why, lambda: list(good.logs())):
            with pytest.raises(DatabaseRefused):
                refused()
    finally:
        taskd.configure()


def test_an_enqueue_by_name_has_the_options_of_the_task(
    web: Connection, connection: Connection, dsn: str
) -> None:
    options = replace(DEFAULTS, queue="sync", priority=7)
    described = describe("shop.sync", cast(FunctionType, new_job), options)
    hosts.publish_tasks(connection, add_host(connection), "io", [described])

    found = find_task(web, "shop.sync")
    shown = taskd_json("--database", dsn_of(dsn, WEB), "enqueue", "shop.sync", "[1]", "--json")

    assert found is not None
    assert (shown["queue"], shown["priority"]) == ("sync", 7)


def test_an_enqueuer_sees_nothing_of_others(web: Connection, dsn: str) -> None:
    with logged_in(dsn, OTHER) as other:
        foreign = add_jobs(other)[0]

        assert fetch_own_states(web, [foreign]) == []
        assert len(fetch_own_states(other, [foreign])) == 1
        with pytest.raises(ParentUnknown, match=f"no such job: {foreign}"):
            one(web, parents=(foreign,))


def test_nobody_can_claim_to_be_another(web: Connection, dsn: str) -> None:
    spoofed = json.dumps({"by": OTHER, "schedule": "nightly", "headers": {"a": 1}})
    (job,) = add_jobs(web, extra=spoofed)
    second = one(web, extra={"by": OTHER, "unique": "x", "until": "started"})

    with logged_in(dsn, OTHER) as other:
        assert fetch_own_states(other, [job, second]) == []
    assert len(fetch_own_states(web, [job, second])) == 2


@pytest.mark.parametrize("on_conflict", ["replace", "earlier"])
def test_an_enqueuer_changes_no_waiting_job_of_another(
    web: Connection, connection: Connection, on_conflict: str
) -> None:
    wish = {"key": "k", "until": "finished", "on_conflict": on_conflict}
    theirs = one(connection, delay=600.0, **wish)
    text = {"keys": ["k"], "until": "finished", "on_conflict": on_conflict, "self": theirs}
    before = connection.execute("SELECT args, run_at FROM taskd.scheduled").fetchall()

    with pytest.raises(pg.InsufficientPrivilege, match=f"job {theirs} holds the unique key"):
        one(web, **wish)
    with pytest.raises(pg.InsufficientPrivilege):
        jobs.enqueue_jobs(web, NewJobs("shop.sync", ["[2]"], [None], unique=json.dumps(text)))
    kept = text | {"on_conflict": "keep"}
    (found,) = jobs.enqueue_jobs(
        web, NewJobs("shop.sync", ["[2]"], [None], unique=json.dumps(kept))
    )

    assert found == -theirs
    assert connection.execute("SELECT args, run_at FROM taskd.scheduled").fetchall() == before


def test_an_enqueuer_follows_no_job_of_another_whose_key_it_knows(
    web: Connection, connection: Connection
) -> None:
    wish = {"key": "k", "until": "finished", "on_conflict": "keep"}
    theirs = one(connection, delay=600.0, **wish)

    with pytest.raises(ParentUnknown, match=f"no such job: {theirs}"):
        enqueue_graph(web, NewGraph((new_job(**wish), new_job(parents=(-1,)))))
    mine = one(web, **wish | {"key": "mine"})
    first, _ = enqueue_graph(
        web, NewGraph((new_job(**wish | {"key": "mine"}), new_job(parents=(-1,))))
    )

    assert first == -mine
    assert connection.execute("SELECT parent FROM taskd.dependency").fetchall() == [(mine,)]


def test_an_enqueuer_changes_its_own_waiting_job(web: Connection, connection: Connection) -> None:
    wish = {"key": "k", "until": "finished", "on_conflict": "replace"}
    first = one(web, **wish)

    (again,) = enqueue_graph(web, NewGraph((NewJob(task="shop.sync", args="[9]", **wish),)))

    assert again == -first
    assert connection.execute("SELECT args FROM taskd.queued").fetchall() == [("[9]",)]


def as_text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 11},
        {"max_attempts": 0},
        {"queue": ""},
        {"timeout": -1.0},
        {"run_at": "infinity"},
        {"extra": {"expires": "soon"}},  # which would stop all claims of the queue
    ],
    ids=str,
)
def test_what_no_client_sends_is_refused(web: Connection, options: dict[str, Any]) -> None:
    if "run_at" not in options:
        plain = {name: as_text(value) for name, value in options.items()}
        with pytest.raises(pg.InvalidParameterValue):
            add_jobs(web, **plain)
    with pytest.raises(pg.InvalidParameterValue):
        one(web, **options)


# -- taskd_reader ------------------------------------------------------------------------------


@pytest.fixture
def furnished(connection: Connection) -> int:
    """Some of everything there is to read; the job of it that has failed."""
    add_jobs(connection, 2)
    one(connection, res=("repo:1",), need=(2147483647,))
    one(connection, res=("repo:1",), need=(2147483647,))
    one(connection, queue="sync@v2", delay=60.0)
    finish(connection)
    failed = finish(connection, "f")
    add_host(connection)
    statistics.roll_up(connection)  # as maintenance does all the time
    return failed


READS = (
    ("jobs", "list", "--json"),
    ("jobs", "list", "--task", "shop.sync", "--args", "[1]", "--error", "x", "--json"),
    ("jobs", "failures", "--json"),
    ("queues", "list", "--json"),
    ("resources", "--json"),
    ("schedules", "list", "--json"),
    ("stats", "--json"),
    ("stats", "--by", "task", "--json"),
    ("workers", "--json"),
    ("memory", "--json"),
    ("audit", "--json"),
    ("leaks", "--json"),
    ("tasks", "--json"),
    ("schema", "status", "--json"),
)


def test_a_reader_is_told_what_the_owner_is(dsn: str, furnished: int) -> None:
    for words in READS:
        said = run_taskd("--database", dsn_of(dsn, BOARD), *words)

        assert said.exit_code == 0, said.output
        assert keys(json.loads(said.stdout)) == keys(taskd_json("--database", dsn, *words))


def keys(value: Any) -> Any:
    """What an answer is made of, without figures, some of which change from look to look."""
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return (
        [keys(inner) for inner in value] if isinstance(value, list) else type(value) is type(None)
    )


def test_a_reader_sees_one_job_with_all_that_is_to_be_known(
    dsn: str, connection: Connection, furnished: int
) -> None:
    for verb in ("show", "why", "logs"):
        said = run_taskd("--database", dsn_of(dsn, BOARD), "jobs", verb, str(furnished), "--json")
        assert said.exit_code == 0, said.output
    ((waiting,),) = connection.execute("SELECT id FROM taskd.blocked").fetchall()
    said = run_taskd("--database", dsn_of(dsn, BOARD), "jobs", "why", str(waiting))
    assert said.exit_code == 0, said.output
    assert "repo:1" in said.output


def test_the_dashboard_answers_everything_for_a_reader(
    dsn: str, connection: Connection, furnished: int
) -> None:
    worker = add_worker(connection, add_host(connection))
    running = claim(connection, worker)[0][0]
    ((waiting,),) = connection.execute("SELECT id FROM taskd.blocked").fetchall()
    with site(dsn_of(dsn, BOARD)) as web:
        for path in (
            "/queues", "/jobs", f"/jobs/{furnished}", "/failures", "/workers", "/pools", "/tasks",
            "/resources", "/schedules", "/stats", "/stats/curves", "/leaks", "/stalls", "/audit",
            "/database", "/memory", f"/jobs/{furnished}/log", f"/jobs/{furnished}/why",
            f"/jobs/{furnished}/result", f"/jobs/{furnished}/family", f"/jobs/{waiting}/why",
        ):  # fmt: skip
            web.api(path)
        assert len(web.api("/schedules/preview", every="1h")["slots"]) == 10
        told = web.api(f"/jobs/{running}/stacks")["worker"]
        assert told == web.api(f"/workers/{worker}/stacks")
        assert (told["note"], told["stacks"]) == (ONLY_READS, [])
        assert web.ask("/readyz").status == 200
        assert "taskd_queue_jobs" in web.ask("/metrics").body.decode()
        assert web.told == []


WRITES = (
    ("enqueue", "shop.sync"),
    ("jobs", "cancel", "1"),
    ("jobs", "requeue", "1"),
    ("jobs", "move", "1", "--to", "slow"),
    ("jobs", "purge", "--older-than", "1d"),
    ("jobs", "mute", "KeyError: '…'"),
    ("queues", "pause", "default"),
    ("schema", "roles", "--apply"),
)


def test_a_reader_changes_nothing(dsn: str, connection: Connection, furnished: int) -> None:
    before = contents(connection)

    for words in WRITES:
        said = run_taskd("--database", dsn_of(dsn, BOARD), *words, stdin="y\n" * 3)

        assert said.exit_code == 1, said.output
        assert re.search("permission denied|must have admin option", said.output), said.output
    assert contents(connection) == before


def contents(connection: Connection) -> list[Any]:
    return connection.execute("SELECT j::text FROM taskd.job j ORDER BY 1").fetchall()


# -- all else ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_write_a_table(connection: Connection, role: str) -> None:
    found = connection.execute(
        "SELECT c.relname, p.name FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', "
        "'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p (name) "
        "WHERE c.relnamespace = 'taskd'::regnamespace AND c.relkind IN ('r', 'p', 'v') "
        "AND has_table_privilege(%s, c.oid, p.name)",
        (role,),
    ).fetchall()
    assert found == []


def test_an_enqueuer_may_read_only_what_an_enqueue_asks(connection: Connection) -> None:
    found = connection.execute(
        "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a "
        "ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE c.relnamespace = 'taskd'::regnamespace AND c.relkind IN ('r', 'p', 'v') "
        "AND has_column_privilege('taskd_enqueuer', c.oid, a.attnum, 'SELECT') ORDER BY 1"
    ).fetchall()
    assert [name for (name,) in found] == [
        "host.ended_at",
        "host.id",
        "schema_version.changed_at",
        "schema_version.fingerprint",
        "schema_version.min_compatible",
        "schema_version.version",
        "task.description",
        "task.host",
        "task.name",
        "task.published_at",
    ]


def test_functions_that_write_are_called_by_no_role(connection: Connection) -> None:
    """Those that a role may call: of the reader's PostgreSQL itself says that they only read."""
    found = connection.execute(
        "SELECT p.proname, p.provolatile = 'v', has_function_privilege('taskd_enqueuer', p.oid, "
        "'EXECUTE'), has_function_privilege('taskd_reader', p.oid, 'EXECUTE') "
        "FROM pg_proc p WHERE p.pronamespace = 'taskd'::regnamespace"
    ).fetchall()

    assert {name for name, _, enqueuer, _ in found if enqueuer} == {
        "enqueue_graph_v1",
        "enqueue_jobs_v1",
        "enqueue_own_graph_v1",
        "enqueue_own_jobs_v1",
        "own_states_v1",
    }
    # It changes a setting of its caller's transaction, and no row.
    by_the_reader = [name for name, is_volatile, _, reader in found if reader and is_volatile]
    assert by_the_reader == ["limit_statements_v1"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT taskd.enqueue_jobs_v1('t', '{[]}', '{NULL}', 'q', 5::smallint, NULL, NULL, "
        "1::smallint, NULL, true, NULL, NULL)",
        'SELECT taskd.enqueue_graph_v1(\'[{"task": "t", "args": "[]"}]\', true, NULL)',
        "SELECT nextval('taskd.job_seq')",
        "SELECT FROM taskd.history",
        "SELECT FROM taskd.result",
        "SELECT FROM taskd.mail",
    ],
)
def test_an_enqueuer_reaches_no_table_by_other_ways(web: Connection, statement: str) -> None:
    with pytest.raises(pg.InsufficientPrivilege):
        web.execute(statement.encode())


EXAMPLES = Path(__file__).parents[2] / "docs/operations/security.md"


def test_the_page_names_the_roles() -> None:
    text = EXAMPLES.read_text()
    assert all(f"`{role}`" in text for role in ("taskd_daemon", *ROLES))
