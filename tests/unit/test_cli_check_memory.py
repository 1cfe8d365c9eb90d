"""What `taskd check` says of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.cli.checks.finding import Finding, Level
from taskd.cli.checks.memory import check_memory
from taskd.config.memory import MemorySettings
from taskd.config.settings import PoolSettings, Settings
from taskd.supervisor.memory.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One of 4 GB."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 3906250 kB\n")
    return Machine(str(tmp_path))


def found(machine: Machine, processes: int = 2, **memory: object) -> list[Finding]:
    pool = PoolSettings(processes=processes, memory=MemorySettings(**memory))  # type: ignore[arg-type]
    return list(check_memory(Settings(pools={"io": pool}), machine))


def test_without_limits_it_tells_the_memory_there_is(machine: Machine) -> None:
    (fine,) = found(machine)

    assert (fine.level, fine.text) == (Level.OK, "4 GB of this machine")


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ({"soft": "50%", "hard": 10**9}, "soft, 2 GB, is not below hard, 1 GB"),
        ({"soft": 3 * 10**9}, "2 workers of up to 3 GB are 6 GB, and there are 4 GB"),
        ({"hard": "80%"}, "2 workers of up to 3.2 GB are 6.4 GB, and there are 4 GB"),
        ({"host_budget": 5 * 10**9}, "host_budget is 5 GB, and there are 4 GB"),
    ],
)
def test_what_does_not_go_together_is_a_warning(
    machine: Machine, memory: dict[str, object], said: str
) -> None:
    warnings = found(machine, **memory)

    assert {warning.level for warning in warnings} == {Level.WARNING}
    assert any(said in warning.text and "io" in warning.text for warning in warnings)
    assert all(warning.remedy for warning in warnings)


def test_limits_that_fit_are_fine(machine: Machine) -> None:
    assert [one.level for one in found(machine, soft="30%", hard="45%")] == [Level.OK]


def test_a_machine_that_does_not_tell_is_left_alone(tmp_path: Path) -> None:
    assert found(Machine(str(tmp_path)), soft="30%") == []
