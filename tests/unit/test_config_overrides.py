"""Flags over environment over file over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.config.overrides import OVERRIDES, as_command_line, given_flags
from taskd.config.settings import LogFormat, LogLevel, default_processes
from tests.unit.configuration import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def test_flag_goes_over_variable_over_file_over_default(folder: Folder) -> None:
    file, variable, flag = "max_args: 1kB", {"TASKD_MAX_ARGS": "2kB"}, {"max_args": "3kB"}

    assert folder.load("{}").max_args == 1024**2
    assert folder.load(file).max_args == 1000
    assert folder.load(file, environ=variable).max_args == 2000
    assert folder.load(file, flag, variable).max_args == 3000


def test_every_override_works_as_variable_and_as_flag(folder: Folder) -> None:
    texts = {
        "database": "postgresql://db/shop",
        "listen": "false",
        "imports": "shop.tasks, shop.more",
        "queues": "a,b",
        "processes": "3",
        "greenlets": "7",
        "state_dir": "/srv/state",
        "log_format": "json",
        "log_level": "debug",
        "max_args": "64kB",
        "pid_file": "t.pid",
    }
    assert set(texts) == {override.name for override in OVERRIDES}

    by_variable = folder.load("{}", environ={f"TASKD_{n.upper()}": t for n, t in texts.items()})
    by_flag = folder.load("{}", flags=texts)

    for settings in (by_variable, by_flag):
        pool = settings.pools["default"]
        assert settings.database == "postgresql://db/shop"
        assert settings.listen is False
        assert settings.imports == ("shop.tasks", "shop.more")
        assert (pool.queues, pool.processes, pool.greenlets) == (("a", "b"), 3, 7)
        assert settings.state_dir == "/srv/state"
        assert settings.log.format is LogFormat.JSON
        assert settings.log.level is LogLevel.DEBUG
        assert settings.max_args == 64_000
        assert settings.pid_file == str(folder.path / "t.pid")


def test_values_of_flags_may_be_parsed_already(folder: Folder) -> None:
    flags = {"processes": 2, "queues": ("a", "b,c"), "listen": False, "imports": None}

    settings = folder.load("{}", flags)

    assert settings.pools["default"].processes == 2
    assert settings.pools["default"].queues == ("a", "b", "c")
    assert settings.listen is False
    assert settings.imports == ()


def test_queues_of_a_flag_may_have_weights(folder: Folder) -> None:
    by_flag = folder.load("{}", {"queues": "urgent=5, mail=1"})
    by_variable = folder.load("{}", environ={"TASKD_QUEUES": "urgent=5,mail=1"})

    assert by_flag.pools["default"].queues == {"urgent": 5, "mail": 1}
    assert by_variable.pools["default"].queues == {"urgent": 5, "mail": 1}


def test_queues_of_a_flag_replace_those_of_the_file_weights_and_all(folder: Folder) -> None:
    file = "pools: {io: {queues: {urgent: 5, mail: 1}}}"

    assert folder.load(file, {"queues": "mail=3,sync=1"}).pools["io"].queues == {
        "mail": 3,
        "sync": 1,
    }
    assert folder.load(file, {"queues": "mail"}).pools["io"].queues == ("mail",)


def test_flag_for_pools_goes_to_the_only_pool_of_the_file(folder: Folder) -> None:
    settings = folder.load("pools: {io: {processes: 2, greenlets: 9}}", {"greenlets": "30"})

    assert list(settings.pools) == ["io"]
    assert (settings.pools["io"].processes, settings.pools["io"].greenlets) == (2, 30)


def test_flag_for_pools_changes_only_its_part_of_the_default_pool(folder: Folder) -> None:
    pool = folder.load("lease: 5s", {"greenlets": 30}).pools["default"]

    assert (pool.processes, pool.greenlets) == (default_processes(), 30)


def test_greenlets_none_makes_a_process_pool(folder: Folder) -> None:
    by_flag = folder.load("{}", {"greenlets": "none"})
    by_variable = folder.load("{}", environ={"TASKD_GREENLETS": "none"})

    assert by_flag.pools["default"].kind == by_variable.pools["default"].kind == "process"


@pytest.mark.parametrize("setting", ["processes", "greenlets", "queues"])
def test_flag_for_pools_is_refused_when_there_are_several(folder: Folder, setting: str) -> None:
    fault = folder.fault("pools: {cpu: , io: }", {setting: "5"})

    assert fault == (
        f"--{setting}: there are several pools (cpu, io): "
        f"set {setting} for each of them in the file"
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("greenlets", "0", "0 is not between 1 and 10000"),
        ("greenlets", "100000", "100000 is not between 1 and 10000"),
        ("greenlets", "ten", "'ten' is not a whole number between 1 and 10000"),
        ("processes", "010", "010 has more than one reading"),
        ("queues", "a,,b", "'a,,b' has an empty name between its commas"),
        ("queues", "a,a", "'a' is in the list twice"),
        ("queues", "a=5,b", "'b' has no weight while others have one: write NAME=WEIGHT for each"),
        ("queues", "a=5,a=1", "'a' is given twice: keep one"),
        ("queues", "a=high", "'high' is no weight: write a whole number from 1 to 1000"),
        ("queues", "a\nb=1", "'a\\nb' is no name for a queue"),
        ("queues", "=1", "'' is empty: a queue needs a name"),
        ("imports", "shop/x.py", "'shop/x.py' is not a dotted module name"),
        ("listen", "no", "is neither true nor false"),
        ("log_format", "xml", "'xml' is not one of text, json"),
        ("max_args", "1", "'1' is not between 64B and 256MiB"),
        ("database", "nowhere", "is not a connection string"),
        ("state_dir", "~nobody-here/x", "begins with the home of a user"),
    ],
)
def test_fault_names_the_flag_or_the_variable(
    folder: Folder, name: str, text: str, said: str
) -> None:
    variable, flag = f"TASKD_{name.upper()}", f"--{name.replace('_', '-')}"

    assert folder.fault("{}", environ={variable: text}).startswith(f"{variable}: ")
    assert folder.fault("{}", flags={name: text}).startswith(f"{flag}: ")
    assert said in folder.fault("{}", flags={name: text})


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda override: override.name)
def test_empty_variable_is_refused_rather_than_taken_for_unset(
    folder: Folder, override: object
) -> None:
    variable = override.variable  # type: ignore[attr-defined]

    assert folder.fault("{}", environ={variable: ""}).startswith(f"{variable}: is set but empty")


def test_faults_of_file_variables_and_flags_come_together(folder: Folder) -> None:
    faults = folder.faults(
        "lease: x", flags={"greenlets": "0"}, environ={"TASKD_LOG_LEVEL": "loud"}
    )

    assert [fault.partition(": ")[0] for fault in faults] == [
        "taskd.yaml:1",
        "TASKD_LOG_LEVEL",
        "--greenlets",
    ]


def test_overridden_fault_of_the_file_is_still_a_fault(folder: Folder) -> None:
    assert folder.fault("max_args: x", {"max_args": "1MB"}).startswith("taskd.yaml:1: max_args: ")


def test_relative_path_of_a_flag_starts_from_the_working_directory(folder: Folder) -> None:
    assert folder.load("{}", {"state_dir": "s"}).state_dir == str(folder.path / "s")


def test_burst_is_a_flag(folder: Folder) -> None:
    assert folder.load("{}", {"burst": True}).burst is True
    assert folder.load("{}", {"burst": False}).burst is False


def test_flags_are_remembered_as_a_command_line(folder: Folder) -> None:
    flags = {"processes": 2, "queues": ("a", "b"), "listen": False, "database": None, "burst": True}

    assert folder.load("{}", flags).origin.flags == (
        "--listen=false",
        "--queues=a,b",
        "--processes=2",
        "--burst",
    )
    assert as_command_line({}) == ()
    assert as_command_line({"queues": {"a": 5, "b": 1}}) == ("--queues=a=5,b=1",)


def test_flag_that_is_no_setting_is_the_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no such flags: greenlet"):
        list(given_flags({"greenlet": 5}))
