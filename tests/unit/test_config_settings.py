"""The settings as values: defaults, the way through JSON, and what importing them costs."""

from __future__ import annotations

import json
import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from taskd.config.memory import MemorySettings
from taskd.config.paths import default_state_dir
from taskd.config.settings import (
    LogFormat,
    LogLevel,
    LogSettings,
    Origin,
    PoolSettings,
    QueueSettings,
    RetentionSettings,
    Settings,
)
from tests.unit.configuration import Folder, run_python

LIGHT = ("settings", "lasting", "client", "dsn", "names", "paths", "units", "versions", "weights")
HEAVY = {"yaml", "pydantic", "pydantic_core", "click", "gevent", "psycopg"}


def test_settings_survive_the_way_through_json() -> None:
    settings = Settings(
        database="postgresql://u:p@h/d",
        listen="host=direct",
        imports=("shop.tasks", "größe"),
        offers=("v1", "v2"),
        pools={
            "io": PoolSettings(queues=("a", "b"), processes=4, greenlets=25, timeout=0.5),
            "cpu": PoolSettings(
                memory=MemorySettings(soft="80%", hard=10**9, max_jobs=10, max_lifetime=3600.0)
            ),
            "mixed": PoolSettings(queues={"a": 5, "b": 1}, ageing=300.0),
        },
        queues={"приём": QueueSettings(timeout=1.5, description="in")},
        retention=RetentionSettings(history=86400.0, partitions_ahead=2, workers=3600.0),
        log=LogSettings(level=LogLevel.DEBUG, format=LogFormat.JSON, file="/x\udcff.log"),
        state_dir="/s",
        lease=3.0,
        max_args=100,
        pid_file="/p",
        burst=True,
        origin=Origin(config="/t.yaml", flags=("--burst",), directory="/"),
    )

    text = settings.to_json()

    assert Settings.from_json(text) == settings
    assert text.isascii()
    assert "\n" not in text


def test_defaults_survive_the_way_through_json() -> None:
    settings = Settings()

    again = Settings.from_json(settings.to_json())

    assert again == settings
    assert type(again.log.level) is LogLevel
    assert type(again.imports) is tuple


def test_what_is_missing_in_the_json_takes_its_default() -> None:
    settings = Settings.from_json('{"pools": {"io": {"processes": 2}}, "state_dir": "/s"}')

    assert settings == Settings(pools={"io": PoolSettings(processes=2)}, state_dir="/s")


@pytest.mark.parametrize("text", ["", "[", '{"pools": {"io": {"x": 1}}}', '{"a": 1}', "{}x"])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        Settings.from_json(text)


def test_loaded_settings_survive_the_way_through_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "imports: [a]\npools: {io: {greenlets: 5}}\nqueues: {q: {timeout: 5m}}\nlog: {level: error}"
    )

    settings = Folder(tmp_path).load(text, {"max_args": "1kB"})

    assert Settings.from_json(settings.to_json()) == settings
    assert Settings.from_json(json.dumps(json.loads(settings.to_json()))) == settings


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().lease = 5  # type: ignore[misc]


def test_password_is_not_in_the_repr() -> None:
    settings = Settings(
        database="postgresql://u:hunter2@h",
        listen="postgresql://u:hunter2@h",
        origin=Origin(flags=("--database=postgresql://u:hunter2@h",)),
    )

    assert "hunter2" not in repr(settings)


def test_pool_without_greenlets_is_a_process_pool() -> None:
    assert PoolSettings().kind == "process"
    assert PoolSettings(greenlets=1).kind == "greenlet"


def test_default_pool_has_greenlets_and_a_process_per_processor_up_to_4() -> None:
    (name, pool), *others = Settings().pools.items()

    assert (name, pool.greenlets, others) == ("default", 25, [])
    assert pool.processes == min(4, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("module", LIGHT)
def test_light_module_imports_the_standard_library_alone(module: str) -> None:
    loaded = run_python(f"import sys, taskd.config.{module}; print(*sys.modules)")

    assert not {name.split(".")[0] for name in loaded.split()} & HEAVY


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({}, 0, "/var/lib/taskd"),
        ({"XDG_STATE_HOME": "/x"}, 0, "/var/lib/taskd"),
        ({"HOME": "/home/a"}, 1000, "/home/a/.local/state/taskd"),
        ({"HOME": "/home/a", "XDG_STATE_HOME": "/x"}, 1000, "/x/taskd"),
        ({"HOME": "/home/a", "XDG_STATE_HOME": "relative"}, 1000, "/home/a/.local/state/taskd"),
        ({"HOME": "/home/a", "XDG_STATE_HOME": ""}, 1000, "/home/a/.local/state/taskd"),
        ({"TASKD_STATE_DIR": "/s", "XDG_STATE_HOME": "/x"}, 1000, "/s"),
        ({"TASKD_STATE_DIR": "/s"}, 0, "/s"),
    ],
)
def test_state_directory_is_the_systems_for_root_and_the_users_otherwise(
    environ: dict[str, str], uid: int, expected: str
) -> None:
    assert default_state_dir(environ, uid) == expected
