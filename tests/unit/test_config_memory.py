"""The memory of a pool in the file: sizes, shares, and what does not go together."""

# ruff: noqa: E501 - the refusals stand in full, as a user reads them
from __future__ import annotations

from pathlib import Path

import pytest

from taskd.cli.config import _lines
from taskd.config.memory import MemorySettings
from taskd.config.units import format_share, parse_share, roughly
from tests.unit.configuration import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def pool(text: str) -> str:
    return f"pools:\n  io:\n    memory: {{{text}}}\n"


def test_sizes_are_bytes_and_shares_stay_as_they_are_written(folder: Folder) -> None:
    text = pool("soft: 400MB, hard: 80%, host_budget: 6GB, jitter: 10%, min_lifetime: 1m")

    memory = folder.load(text).pools["io"].memory

    assert memory == MemorySettings(
        soft=400_000_000, hard="80%", host_budget=6 * 10**9, jitter=0.1, min_lifetime=60.0
    )


def test_without_the_section_there_is_no_limit_but_the_budget(folder: Folder) -> None:
    (memory,) = {pool.memory for pool in folder.load("{}").pools.values()}

    assert memory == MemorySettings()
    assert (memory.soft, memory.hard, memory.host_budget) == (None, None, "90%")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("soft: 0", "soft: 0 is not between 1MB and 1000000GB: leave it out for no limit"),
        ("soft: 4kB", "soft: '4kB' is not between 1MB and 1000000GB"),
        ("soft: 120%", "soft: '120%' is not between 1% and 100%"),
        ("soft: much", "soft: 'much' is neither a size such as 400MB nor a share such as 80%"),
        ("hard: [1]", "hard: a list is neither a size such as 400MB nor a share such as 80%"),
        ("host_budget: 0", "host_budget: 0 is not between 1MB and 1000000GB: say 100% to use all there is"),
        ("jitter: 2", "jitter: 2 is not a share: write a percentage such as 20%"),
        ("jitter: 95%", "jitter: '95%' is not between 0% and 90%"),
        ("max_jobs: 0", "max_jobs: 0 is not between 1 and 1000000000: leave it out for no limit"),
        ("max_job: 1", "max_job: unknown setting: did you mean max_jobs?"),
        ("soft: 2GB, hard: 1GB", "soft: '2GB' is not below hard, '1GB': a worker must have room to drain before it is killed"),
        ("soft: 50%, hard: 50%", "soft: '50%' is not below hard, '50%': a worker must have room to drain before it is killed"),
        ("max_lifetime: 5s", "max_lifetime: 5s is less than min_lifetime, 10s: no worker could live by both"),
    ],
)  # fmt: skip
def test_a_fault_names_the_value_and_the_remedy(folder: Folder, setting: str, said: str) -> None:
    assert folder.fault(pool(setting)) == f"taskd.yaml:3: pools.io.memory.{said}"


def test_only_the_machine_can_compare_a_size_with_a_share(folder: Folder) -> None:
    assert folder.load(pool("soft: 50%, hard: 1GB")).pools["io"].memory.soft == "50%"


def test_what_belongs_to_the_memory_of_a_pool_is_told_where_it_belongs(folder: Folder) -> None:
    said = folder.fault("pools: {io: {max_jobs: 100}}")

    assert said.endswith("it belongs to the pool's memory, as memory: {max_jobs: …}")


def test_the_settings_in_effect_are_shown_as_a_file_has_them(folder: Folder) -> None:
    lines = dict(_lines(folder.load(pool("soft: 400MB, hard: 80%")), ""))

    shown = {path.rpartition(".")[2]: value for path, value in lines.items() if ".memory." in path}
    assert shown == {
        "soft": "400MB",
        "hard": "80%",
        "host_budget": "90%",
        "max_jobs": "(no limit)",
        "max_lifetime": "(no limit)",
        "min_lifetime": "10s",
        "jitter": "20%",
    }


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), ("12.5 %", 0.125), (0.5, 0.5), (0, 0.0)])
def test_a_share_is_read_and_written(text: object, share: float) -> None:
    assert parse_share(text) == share
    assert parse_share(format_share(share)) == share


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (12, "12 B"),
        (4_560, "4.56 kB"),
        (412_345_678, "412 MB"),
        (99_900_000, "99.9 MB"),
        (99_960_000, "100 MB"),
        (999_600, "1 MB"),
        (1_530_000_000, "1.53 GB"),
        (5 * 10**12, "5 TB"),
        (-4_560, "-4.56 kB"),
    ],
)
def test_a_size_is_said_in_three_digits(size: int, said: str) -> None:
    assert roughly(size) == said
