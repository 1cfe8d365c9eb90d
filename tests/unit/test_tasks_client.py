from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

import taskd
from taskd.errors import ConnectionUnfit, DatabaseUnavailable, OptionInvalid
from taskd.tasks.client import ProcessClient, configure, default_client, use_client
from taskd.tasks.database_client import DatabaseClient, psycopg_connection
from tests.unit.tasks_project import MemoryClient, memory_client


def python(program: str, **environ: str) -> str:
    """Run a program in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_taskd_loads_neither_gevent_nor_psycopg() -> None:
    loaded = python(
        """
        import sys, taskd
        before = set(sys.modules)
        from taskd import (Job, Retry, RetryLater, configure, current_job, enqueue, enqueue_many,
                           task)
        assert {name for name in dir(taskd)} >= set(taskd.__all__)
        heavy = {"gevent", "psycopg", "psycopg_pool", "yaml", "pydantic", "click"}
        print([name for name in sys.modules if name.partition(".")[0] in heavy])
        print([name for name in before if name.startswith("taskd.")])
        """
    )

    assert loaded.splitlines() == ["[]", "[]"]


def test_every_public_name_is_there() -> None:
    for name in taskd.__all__:
        assert getattr(taskd, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = taskd.nothing


@pytest.mark.parametrize("stranger", [None, 3, object()])
def test_what_is_no_psycopg_connection_is_refused(stranger: object) -> None:
    with pytest.raises(ConnectionUnfit, match="no psycopg connection: pass the driver's own"):
        psycopg_connection(stranger)


def test_an_async_connection_is_refused() -> None:
    stranger = object.__new__(psycopg.AsyncConnection)

    with pytest.raises(ConnectionUnfit, match="is an AsyncConnection: enqueue with"):
        psycopg_connection(stranger)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"database": "nonsense"}, "database='nonsense' is not a connection string"),
        ({"database": 5}, "database=5 is no text"),
        ({"max_args": 0}, "max_args=0 is not a number of bytes"),
        ({"max_args": True}, "max_args=True is not a number of bytes"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionInvalid) as refused:
        configure(**settings)  # type: ignore[arg-type]

    assert sentence in str(refused.value)


def test_a_refused_connection_string_shows_no_password() -> None:
    with pytest.raises(OptionInvalid) as refused:
        configure(database="postgresql://me:hunter2@ho st/x")

    assert "hunter2" not in str(refused.value)


def test_what_configure_says_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKD_DATABASE", "host=127.0.0.1 port=2")
    monkeypatch.setenv("TASKD_MAX_ARGS", "2000")
    configure(database="host=127.0.0.1 port=1")

    assert default_client().max_args == 2000
    with pytest.raises(DatabaseUnavailable, match="port=1"):
        default_client().fetch(1)

    configure(max_args=3000)
    assert default_client().max_args == 3000
    with pytest.raises(DatabaseUnavailable, match="port=2"):
        default_client().fetch(1)
    configure()


def test_a_client_that_was_never_opened_can_be_closed_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TASKD_DATABASE", "host=127.0.0.1 port=1")
    configure()
    client = default_client()

    client.close()
    client.close()
    assert isinstance(client, DatabaseClient)


def test_another_configuration_closes_the_client_before() -> None:
    with memory_client() as client:
        assert default_client() is client
        use_client(MemoryClient)
        assert client.closed == 1
        assert default_client() is default_client()


def test_a_forked_child_begins_without_the_parents_client() -> None:
    process, parents = ProcessClient(), MemoryClient()
    process.replace(lambda: parents)
    assert process.get() is parents

    process.replace(MemoryClient)
    used = process.get()
    process.forget()

    assert process.get() is not used
    assert isinstance(used, MemoryClient)
    assert used.closed == 0  # closing it would end the parent's connections


def test_forget_is_called_in_forked_children() -> None:
    told = python(
        """
        import os, sys
        from taskd.tasks.client import default_client, use_client
        from tests.unit.tasks_project import MemoryClient

        use_client(MemoryClient)
        before = default_client()
        pid = os.fork()
        if pid == 0:
            print("anew" if default_client() is not before else "shared", flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print("kept" if default_client() is before else "lost")
        """
    )

    assert told.split() == ["anew", "kept"]
