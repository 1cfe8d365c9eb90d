from __future__ import annotations

import resource
from pathlib import Path

import pytest

from taskd.cli.check import exit_status
from taskd.cli.checks.database import check_room
from taskd.cli.checks.demand import connections_needed, files_needed
from taskd.cli.checks.finding import Level, fault, fine, warning
from taskd.cli.checks.imports import check_imports, findings_of
from taskd.cli.checks.machine import check_files, check_machine
from taskd.cli.probing import Probed, probe_imports
from taskd.config.settings import LogSettings, PoolSettings, Settings
from taskd.maintenance.database import CONNECTIONS_A_WORKER


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(**pools: PoolSettings) -> Settings:
    return Settings(imports=("shop",), pools=pools, state_dir="/tmp")


def test_the_connections_of_all_pools_count_with_the_workers_that_replace_them() -> None:
    one = connections_needed(settings(io=PoolSettings(processes=10)))
    two = connections_needed(settings(io=PoolSettings(processes=10), cpu=PoolSettings(processes=1)))

    assert two - one == CONNECTIONS_A_WORKER * 2
    assert one >= CONNECTIONS_A_WORKER * 11


def test_too_little_room_names_the_setting_and_by_how_much() -> None:
    finding = check_room(120, 97, "max_connections")

    assert finding.level is Level.WARNING
    assert "raise max_connections by 23" in finding.remedy


def test_a_hard_limit_below_the_need_is_told_with_the_line_for_systemd() -> None:
    needed = files_needed(settings(io=PoolSettings(greenlets=1000)))

    assert check_files(needed, 1024, 1024).remedy.startswith(f"LimitNOFILE={needed}")
    assert check_files(needed, 1024, resource.RLIM_INFINITY).level is Level.OK


def test_a_folder_that_is_missing_is_fine_where_it_can_be_made(project: Path) -> None:
    there = Settings(state_dir=str(project / "a" / "b"))
    (project / "file").touch()
    blocked = Settings(state_dir=str(project / "file" / "b"))

    assert [f.level for f in check_machine(there) if f.subject == "state_dir"] == [Level.OK]
    assert [f.level for f in check_machine(blocked) if f.subject == "state_dir"] == [Level.FAULT]


def test_the_folder_of_the_log_must_be_there(project: Path) -> None:
    log = LogSettings(file=str(project / "missing" / "taskd.log"))

    [found] = [f for f in check_machine(Settings(log=log)) if f.subject == "log.file"]

    assert found.level is Level.FAULT
    assert found.text == f"there is no folder {project / 'missing'}"


def test_no_imports_are_a_warning() -> None:
    [finding] = check_imports(Settings())

    assert finding.level is Level.WARNING


def test_what_an_import_leaves_open_is_named(project: Path) -> None:
    (project / "shop.py").write_text(
        "import socket, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), name='poller', daemon=True).start()\n"
        "left = socket.create_server(('127.0.0.1', 0))\n"
    )

    probed = probe_imports(["shop"], greenlets=False, seconds=30)
    levels = [finding.level for finding in findings_of(probed, "here")]

    assert probed.error is None
    assert "poller" in probed.threads
    assert probed.sockets[0].startswith("bound to 127.0.0.1:")
    assert levels == [Level.OK, Level.WARNING]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nowhere", "shop.py:1: ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1\ndef f(:", "shop.py:2: SyntaxError"),
        ("import sys; sys.exit(3)", "shop.py:1: SystemExit: 3"),
        ("import os; os._exit(3)", "exited with 3"),
        ("import os; os.abort()", "died of SIGABRT"),
        ("import time; time.sleep(60)", "takes longer than 3 s"),
    ],
)
def test_whatever_an_import_does_is_one_fault(project: Path, code: str, reason: str) -> None:
    (project / "shop.py").write_text(code)

    probed = probe_imports(["shop"], greenlets=False, seconds=3)

    assert reason in str(probed.error)
    [finding] = findings_of(probed, "here")
    assert finding.level is Level.FAULT


def test_what_a_module_prints_does_not_disturb_the_answer(project: Path) -> None:
    (project / "shop.py").write_text("print('{'); import sys; print('[', file=sys.stderr)")

    assert probe_imports(["shop"], greenlets=True, seconds=30) == Probed()


def test_the_status_is_that_of_the_worst_finding() -> None:
    assert exit_status([fine("a", ""), warning("b", "", "")]) == 0
    assert exit_status([fine("a", ""), fault("database", "", "")]) == 1
    assert exit_status([fault("configuration", "", "")]) == 2
