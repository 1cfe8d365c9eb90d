"""Each thing that can be wrong in a file, and the line that says so."""

# ruff: noqa: E501 - the refusals stand in full, as a user reads them
from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.configuration import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def test_fault_says_file_line_setting_value_and_range(folder: Folder) -> None:
    text = "pools:\n  io:\n    greenlets: -3\n"

    assert folder.fault(text) == ("taskd.yaml:3: pools.io.greenlets: -3 is not between 1 and 10000")


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_lines(folder: Folder) -> None:
    text = """\
database: nowhere
listn: false
imports: [shop.tasks, shop/x.py, shop.tasks]
lease: 1:30
max_args: 010
pools:
  io:
    queues: [a, a]
    timeout: ${NOPE}
  io: {}
  CPU: {}
log:
  level: loud
"""

    lines = [fault.partition(": ")[0] for fault in folder.faults(text)]

    assert lines == [f"taskd.yaml:{line}" for line in (1, 2, 3, 3, 4, 5, 8, 9, 10, 11, 13)]


def test_zero_greenlets_are_refused_with_the_way_to_a_process_pool(folder: Folder) -> None:
    fault = folder.fault("pools: {cpu: {greenlets: 0}}")

    assert "pools.cpu.greenlets: 0 is not between 1 and 10000" in fault
    assert "leave greenlets out" in fault


@pytest.mark.parametrize("value", ["none", "no", "false"])
def test_a_word_for_no_greenlets_gets_the_same_advice(folder: Folder, value: str) -> None:
    assert "leave greenlets out" in folder.fault(f"pools: {{cpu: {{greenlets: {value}}}}}")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("greenlets: 100000", "100000 is not between 1 and 10000"),
        ("greenlets: 2.5", "2.5 is not a whole number between 1 and 10000"),
        ("greenlets: true", "true is not a whole number between 1 and 10000"),
        ("greenlets: many", "'many' is not a whole number between 1 and 10000"),
        ("greenlets: [5]", "a list is not a whole number between 1 and 10000"),
        ("greenlets: 999999999999999999", "999999999999999999 is not between 1 and 10000"),
        ("processes: 0", "0 is not between 1 and 1000"),
        ("processes:", "has no value: write one, or leave the setting out"),
        ("timeout: 0s", "'0s' is not between 1ms and 365d: leave it out for no limit"),
        ("timeout: 0", "0s is not between 1ms and 365d: leave it out for no limit"),
        ("timeout: 1:30", "'1:30' is not a duration: write seconds, or a number with ms, s, m, h or d"),
        ("timeout: .nan", ".nan has more than one reading: write a plain decimal number, or put it in quotes if it is text"),
        ("timeout: {a: 1}", "a mapping is not a duration: write seconds, or a number with ms, s, m, h or d"),
        ("kill_grace: 2h", "'2h' is not between 0s and 1h"),
        ("kill_grace: 7200", "2h is not between 0s and 1h"),
        ("queues: mail", "'mail' is not a list of queue names such as [urgent, default]"),
        ("ageing: 0", "0s is not between 1s and 7d: leave it out for strict priorities"),
        ("ageing: 8d", "'8d' is not between 1s and 7d"),
    ],
)  # fmt: skip
def test_value_of_a_pool_is_refused_by_its_range(folder: Folder, setting: str, said: str) -> None:
    name = setting.partition(":")[0]

    assert folder.fault(f"pools:\n  p:\n    {setting}\n") == f"taskd.yaml:3: pools.p.{name}: {said}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("listen: no", "listen: is neither true nor false nor a connection string"),
        ("listen: 1", "listen: 1 is neither true nor false nor a connection string"),
        ("database: 5", "database: 5 is not a connection string"),
        ("database: ''", "database: is empty: leave it out for the embedded PostgreSQL"),
        ("imports: shop", "imports: 'shop' is not a list of module names such as [shop.tasks]"),
        ("offers: v2", "offers: 'v2' is not a list of versions such as [v1]"),
        ("offers: [2]", "offers[0]: 2 is not the name of a version: put it in quotes if it is text"),
        ("offers: [a, 'a b']", "offers[1]: 'a b' is no version: 1 to 32 of letters, digits and . _ + -, beginning with a letter or digit"),
        ("offers: [a, a]", "offers[1]: 'a' is in the list twice: take one out"),
        ("imports: [5]", "imports[0]: 5 is not a dotted module name such as shop.tasks"),
        ("max_args: 1m", "max_args: '1m' is not a size: write bytes, or a number with kB, MB, GB, TB, KiB, MiB or GiB"),
        ("max_args: 10", "max_args: 10B is not between 64B and 256MiB"),
        ("retention: {history: 36h}", "retention.history: '36h' is not a whole number of days: write it such as 14d"),
        ("retention: 14", "retention: 14 is not a mapping of settings"),
        ("log: {level: INFO}", "log.level: 'INFO' is not one of debug, info, warning, error"),
        ("log: {file: ''}", "log.file: '' is empty: write a path, or leave it out"),
        ("pid_file: 5", "pid_file: 5 is not a path: put it in quotes if it is text"),
        ("pools: [io]", "pools: a list is not a mapping of settings"),
        ("pools: {io: 5}", "pools.io: 5 is not a mapping of settings"),
        ("queues: {'a,b': {}}", "queues.a,b: is no name for a queue: commas, NUL and other control characters are not allowed"),
        ("queues: {a: {description: \"a\\nb\"}}", "queues.a.description: 'a\\nb' is not a single line of printable text"),
    ],
)  # fmt: skip
def test_value_is_refused_with_what_is_wanted(folder: Folder, setting: str, said: str) -> None:
    assert folder.fault(setting) == f"taskd.yaml:1: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datbase: x=y", "datbase: unknown setting: did you mean database?"),
        ("pools: {io: {greenlet: 5}}", "pools.io.greenlet: unknown setting: did you mean greenlets?"),
        ("log: {Level: info}", "log.Level: unknown setting: did you mean level?"),
        ("log: {zzz: 1}", "log.zzz: unknown setting: known here are level, format, file, job_level, job_bytes"),
        ("greenlets: 5", "greenlets: unknown setting here: it belongs to a pool, as pools.NAME.greenlets"),
        ("retention: {'': 1}", "retention.'': unknown setting: known here are history, results, logs, partitions_ahead, workers, memory, audit"),
    ],
)  # fmt: skip
def test_unknown_setting_is_told_with_the_nearest_known(
    folder: Folder, text: str, said: str
) -> None:
    assert folder.fault(text) == f"taskd.yaml:1: {said}"


def test_burst_is_a_flag_and_stands_in_no_file(folder: Folder) -> None:
    assert "burst: unknown setting" in folder.fault("burst: true")


def test_duplicate_pool_names_both_lines(folder: Folder) -> None:
    text = "pools:\n  io: {processes: 2}\n  cpu: {}\n  io: {processes: 3}\n"

    assert folder.fault(text) == "taskd.yaml:4: pools.io: is given twice, first on line 2: keep one"


def test_what_a_duplicate_says_is_checked_too(folder: Folder) -> None:
    text = "pools:\n  io:\n  io:\n    greenlets: 0\n    processes: 010\n    queues: [a, a]\n"

    lines = [fault.partition(": ")[0] for fault in folder.faults(text)]

    assert lines == [f"taskd.yaml:{line}" for line in (3, 4, 5, 6)]


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        ("[mail, sync, mail]", "queues[2]: 'mail' is in the list twice: take one out"),
        ("[mail, 'mail']", "queues[1]: 'mail' is in the list twice: take one out"),
        ("[mail, Mail]", "queues[1]: 'Mail' and 'mail' are two spellings of one name: keep the right one"),
        ("[é, e\u0301]", "queues[1]: 'e\u0301' and 'é' are two spellings of one name: keep the right one"),
    ],
)  # fmt: skip
def test_queue_twice_in_a_pool_is_refused(folder: Folder, queues: str, said: str) -> None:
    assert folder.fault(f"pools: {{p: {{queues: {queues}}}}}") == f"taskd.yaml:1: pools.p.{said}"


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("mail: 0", "mail: 0 is no weight: write a whole number from 1 to 1000"),
        ("mail: 1001", "mail: 1001 is no weight: write a whole number from 1 to 1000"),
        ("mail: 1.5", "mail: 1.5 is no weight: write a whole number from 1 to 1000"),
        ("mail: true", "mail: true is no weight: write a whole number from 1 to 1000"),
        ("mail: high", "mail: 'high' is no weight: write a whole number from 1 to 1000"),
        ("mail: '010'", "mail: '010' is no weight: write a whole number from 1 to 1000"),
        ("mail: {}", "mail: a mapping is no weight: write a whole number from 1 to 1000"),
        ("mail: ", "mail: has no value: write one, or leave the setting out"),
        ("'a,b': 1", "a,b: is no name for a queue: commas, NUL and other control characters are not allowed"),
        ("mail: 1, Mail: 2", "Mail: 'Mail' and 'mail' are two spellings of one name: keep the right one"),
        ("mail: 1, mail: 2", "mail: is given twice, first on line 1: keep one"),
    ],
)  # fmt: skip
def test_weight_of_a_queue_is_refused(folder: Folder, weights: str, said: str) -> None:
    fault = folder.fault(f"pools: {{p: {{queues: {{{weights}}}}}}}")

    assert fault == f"taskd.yaml:1: pools.p.queues.{said}"


def test_every_repetition_is_told(folder: Folder) -> None:
    assert len(folder.faults("pools: {p: {queues: [a, a, b, a, b]}}")) == 3


def test_equal_faults_of_one_line_are_all_told(folder: Folder) -> None:
    assert len(folder.faults("pools: {a: {greenlets: 0}, b: {greenlets: 0}}")) == 2


def test_fault_in_an_anchor_is_told_once(folder: Folder) -> None:
    text = "x-slow: &slow\n  greenlets: -3\npools:\n  a: *slow\n  b:\n    <<: *slow\n  c: *slow\n"

    assert folder.fault(text) == "taskd.yaml:2: pools.a.greenlets: -3 is not between 1 and 10000"


def test_item_after_a_faulty_one_keeps_its_place(folder: Folder) -> None:
    faults = folder.faults("imports:\n  - ${NOPE}\n  - 5\n")

    assert [fault.partition(" ")[0] for fault in faults] == ["taskd.yaml:2:", "taskd.yaml:3:"]
    assert "imports[0]: the environment variable NOPE is not set" in faults[0]
    assert "imports[1]: 5 is not" in faults[1]


@pytest.mark.parametrize(
    "text",
    [
        "database: postgresql://u:hunter2@h:x/d",
        "database: host=h password=hunter2 'x",
        "database: [postgresql://u:hunter2@h]",
        "listen: postgresql://u:hunter2@h:x/d",
        "log: {level: 'postgresql://u:hunter2@h'}",
        "pools: {p: {queues: ['postgresql://u:hunter2@h,x']}}",
        "imports: ['postgresql://u:hunter2@h']",
        "lease: ${DSN}",
        "databse: postgresql://u:hunter2@h",
        "database: postgresql://u:hunter2@h\ndatabase: postgresql://u:hunter2@h",
        "database: postgresql://u:hunter2@h: x",
    ],
)
def test_no_fault_repeats_a_password(folder: Folder, text: str) -> None:
    environ = {"DSN": "host=h password=hunter2"}

    assert "hunter2" not in "".join(folder.faults(text, environ=environ))


def test_long_and_unprintable_things_are_shown_short_and_printable(folder: Folder) -> None:
    key, value = "k" * 5000, "v" * 5000
    text = f'log: {{level: "{value}", {key}: 1, "\\e[31m": "\\e"}}'

    for fault in folder.faults(text):
        assert len(fault) < 200
        assert fault.isprintable()


def test_bytes_of_the_environment_that_are_not_utf8_are_shown_escaped(folder: Folder) -> None:
    fault = folder.fault("log: {level: '${X}'}", environ={"X": "a\udcff"})

    assert "'a\\udcff'" in fault


@pytest.mark.parametrize("jargon", ["pydantic", "Input should", "https://", "validation error"])
def test_no_fault_speaks_of_the_checker(folder: Folder, jargon: str) -> None:
    text = (
        "lease: {}\npools: 5\nlog: [1]\nimports: {}\ndatabase: {}\nx: 1\nqueues: {a: {timeout: x}}"
    )

    assert jargon not in "".join(folder.faults(text))
