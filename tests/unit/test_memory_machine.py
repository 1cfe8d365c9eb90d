"""How much memory there is, as kernels of all makes tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.supervisor.memory.machine import Machine

MEMINFO = "MemTotal:       16000000 kB\nMemFree:  1 kB\n"
V2_MOUNT = "30 23 0:26 {begins} /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "35 31 0:32 {begins} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
UNLIMITED = "9223372036854771712\n"


class Root:
    """The files of a machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("proc/meminfo", MEMINFO)

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def v2(self, group: str = "/a.slice/b", begins: str = "/") -> None:
        self.write("proc/self/cgroup", f"0::{group}\n")
        self.write("proc/self/mountinfo", V2_MOUNT.format(begins=begins))

    def v1(self, group: str = "/a/b", begins: str = "/") -> None:
        self.write("proc/self/cgroup", f"4:memory:{group}\n1:cpu:/\n0::/\n")
        self.write(
            "proc/self/mountinfo", V1_MOUNT.format(begins=begins) + V2_MOUNT.format(begins="/")
        )

    def machine(self) -> Machine:
        return Machine(str(self.path))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


@pytest.mark.parametrize("text", ["\n", "nonsense\n", "full\n\n", "oom_kill\nfull some\n"])
def test_files_that_say_something_else_are_no_error(root: Root, text: str) -> None:
    for name in ("meminfo", "vmstat", "pressure/memory", "self/cgroup", "self/mountinfo"):
        root.write(f"proc/{name}", text)
    machine = root.machine()

    assert (machine.total(), machine.kills(), machine.pressure()) == (0, None, 0.0)


def test_without_a_group_it_is_the_machines_memory(root: Root) -> None:
    assert root.machine().total() == 16_000_000 * 1024


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))

    assert (machine.group, machine.total(), machine.kills(), machine.pressure()) == (
        None,
        0,
        None,
        0,
    )


@pytest.mark.parametrize(("own", "above"), [("500000000\n", "max\n"), ("max\n", "500000000\n")])
def test_the_limit_of_version_2_is_the_smallest_of_all_above(
    root: Root, own: str, above: str
) -> None:
    root.v2()
    root.write("sys/fs/cgroup/a.slice/memory.max", above)
    root.write("sys/fs/cgroup/a.slice/b/memory.max", own)

    assert root.machine().total() == 500_000_000


@pytest.mark.parametrize(("own", "above"), [("500000000\n", UNLIMITED), (UNLIMITED, "500000000\n")])
def test_the_limit_of_version_1_is_the_smallest_of_all_above(
    root: Root, own: str, above: str
) -> None:
    root.v1()
    root.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", above)
    root.write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", own)

    assert root.machine().total() == 500_000_000


def test_a_group_without_limit_has_the_machines_memory(root: Root) -> None:
    root.v1()
    root.write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", UNLIMITED)

    assert root.machine().total() == 16_000_000 * 1024


def test_in_a_container_the_group_is_the_top_of_what_is_mounted(root: Root) -> None:
    root.v1("/docker/4711", begins="/docker/4711")
    root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "300000000\n")

    assert root.machine().total() == 300_000_000


def test_a_path_outside_of_what_is_mounted_means_its_top(root: Root) -> None:
    root.v2("/../other")
    root.write("sys/fs/cgroup/memory.max", "300000000\n")

    assert root.machine().total() == 300_000_000


def test_kills_are_those_of_the_group_or_of_the_machine(root: Root) -> None:
    root.write("proc/vmstat", "pgfault 1\noom_kill 9\n")
    assert root.machine().kills() == 9

    root.v2()
    root.write("sys/fs/cgroup/a.slice/b/memory.events", "low 0\nmax 7\noom 3\noom_kill 2\n")
    assert root.machine().kills() == 2

    root.v1()
    root.write("sys/fs/cgroup/memory/a/b/memory.oom_control", "under_oom 0\noom_kill 4\n")
    assert root.machine().kills() == 4


def test_pressure_is_the_groups_or_the_machines(root: Root) -> None:
    some = "some avg10=90.00 avg60=0.00 avg300=0.00 total=0\n"
    root.write("proc/pressure/memory", f"{some}full avg10=12.50 avg60=1.00 avg300=0.00 total=5\n")
    assert root.machine().pressure() == 0.125

    root.v2()
    root.write("sys/fs/cgroup/a.slice/b/memory.pressure", f"{some}full avg10=50.00 total=5\n")
    assert root.machine().pressure() == 0.5


def test_this_machine_is_understood() -> None:
    machine = Machine()

    assert machine.total() > 2**27
    assert 0.0 <= machine.pressure() <= 1.0
