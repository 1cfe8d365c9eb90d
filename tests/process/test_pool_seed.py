"""Seeds and forkservers: what they import, what they say, and what they fork."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd import __version__
from taskd.board import WorkerState
from taskd.config.settings import PoolSettings
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.waiting import eventually

APP = """
import sys

VERSION = 1
BEFORE = set()


def noop():
    pass


def version():
    return VERSION


def ids():
    import os
    return [os.getppid(), os.getpid()]


def descriptors_of_a_child(path):
    import os
    os.system(f"ls -l /proc/self/fd > {path}")


def imported_since_the_fork():
    return sorted(set(sys.modules) - BEFORE)


def when_garbage_is_collected():
    import gc

    return gc.isenabled() and gc.get_threshold()


def remember_modules():
    BEFORE.update(sys.modules)


remember_modules()
"""

PATCH_AND_COUNT = """
from importlib import metadata

from taskd.pool import seed

looks = []
before, ask = metadata.distributions, metadata.entry_points
metadata.distributions = lambda: looks.append(1) or before()
seed.patch()
print(len(looks), metadata.entry_points is ask)
"""


POOLS = {"io": PoolSettings(greenlets=5), "cpu": PoolSettings()}


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A host with a greenlet pool and a process pool, for all tests that leave its seeds alone."""
    with lasting_stand(embedded_server, tmp_path_factory.mktemp("stand"), POOLS, APP) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    shared_stand.renew(keep_code=False)
    shared_stand.write_app(APP)
    return shared_stand


@pytest.fixture
def own_stand(dsn: str, tmp_path: Path) -> Iterator[Stand]:
    """One for a single test."""
    with Stand(dsn, tmp_path, POOLS) as stand:
        stand.write_app(APP)
        yield stand


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def test_a_forkserver_tells_what_its_code_offers(stand: Stand) -> None:
    ready = stand.order_forkserver("io").hear()

    assert ready["op"] == "ready"
    assert "app.version" in [task["name"] for task in ready["tasks"]]


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_a_worker_is_a_child_of_the_master(stand: Stand, pool: str) -> None:
    pid = stand.start(pool)

    assert parent_of(pid) == os.getpid()
    assert stand.read().pid == pid


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_what_a_job_starts_inherits_nothing_of_the_daemons(
    stand: Stand, pool: str, tmp_path: Path
) -> None:
    stand.start(pool)

    stand.wait_for(stand.enqueue("descriptors_of_a_child", str(tmp_path / "fds")), "succeeded")

    listed = (tmp_path / "fds").read_text()
    assert "/proc/" in listed
    for name in ("memfd:", "eventfd", "socket:", str(stand.folder / "tree")):
        assert name not in listed


def test_code_that_does_not_import_is_named_by_file_and_line(stand: Stand) -> None:
    stand.write_app("x = 1\n\n\ndef broken(:\n")

    failed = stand.order_forkserver("io").hear()

    assert failed["op"] == "failed"
    assert failed["error"].startswith("app.py:4: SyntaxError")


def test_a_seed_goes_on_after_code_that_did_not_import(stand: Stand) -> None:
    stand.write_app("1 / 0")
    stand.order_forkserver("io").hear()

    stand.write_app(APP)

    assert stand.order_forkserver("io", generation=2).hear()["op"] == "ready"


def test_a_seed_of_another_version_than_the_masters_refuses(own_stand: Stand) -> None:
    own_stand.masters_version = "0.0.9"

    said = own_stand.start_seed("process").hear()

    assert said == {
        "op": "failed",
        "error": f"taskd {__version__} is installed, but the daemon runs 0.0.9: restart the daemon",
        "outdated": True,
    }


def test_a_new_generation_runs_the_new_code(stand: Stand) -> None:
    stand.start("io", 0)
    stand.write_app(APP.replace("VERSION = 1", "VERSION = 2"))

    talk = stand.order_forkserver("io", generation=2)
    assert talk.hear()["op"] == "ready"
    os.kill(stand.read(0).pid, signal.SIGTERM)
    stand.order_worker(talk, 1, generation=2)
    stand.wait_until_idle(1)

    assert stand.wait_for(stand.enqueue("version"), "succeeded")[0] == "2"
    assert stand.read(1).generation == 2


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(600,), name='feed', daemon=True).start()\n",
            "thread feed",
        ),
        (
            "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n",
            "socket bound to 127.0.0.1:",
        ),
    ],
)
@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_threads_and_sockets_left_by_imports_are_named(
    stand: Stand, pool: str, code: str, found: str
) -> None:
    stand.write_app(code)

    said = stand.order_forkserver(pool).hear()

    assert said["op"] == "unsuitable"
    assert any(one.startswith(found) for one in said["found"]), said


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_workers_of_a_late_forkserver_import_for_themselves(stand: Stand, pool: str) -> None:
    stand.write_app(f"import socket\ns = socket.create_server(('127.0.0.1', 0))\n{APP}")

    talk = stand.order_forkserver(pool, late=True)
    ready = talk.hear()
    stand.order_worker(talk, 0)
    stand.wait_until_idle()

    assert ready == {"op": "ready", "tasks": []}
    assert stand.wait_for(stand.enqueue("version"), "succeeded")[0] == "1"


def test_a_late_worker_whose_import_fails_exits_with_status_70(stand: Stand) -> None:
    stand.write_app("1 / 0")
    talk = stand.order_forkserver("io", late=True)
    talk.hear()

    pid = stand.order_worker(talk, 0)

    assert stand.wait_for_end(pid) == 70
    assert "app.py:1: ZeroDivisionError" in stand.said()


def test_a_hub_left_by_imports_is_made_anew_in_each_worker(stand: Stand) -> None:
    stand.write_app(f"import gevent\ngevent.sleep(0.001)\n{APP}")
    stand.start("io", 0)
    stand.start("io", 1)

    jobs = [stand.enqueue("noop") for _ in range(10)]

    for job in jobs:
        stand.wait_for(job, "succeeded")


def test_plugins_of_gevent_are_looked_for_once_and_heard(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Name: plugin\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text(
        "[gevent.plugins.monkey.did_patch_all]\nx = heard:it\n"
    )
    (tmp_path / "heard.py").write_text("def it(event): print('heard')\n")

    said = subprocess.run(
        [sys.executable, "-c", PATCH_AND_COUNT], cwd=tmp_path, capture_output=True, text=True
    )

    assert (said.stdout, said.stderr) == ("heard\n1 True\n", "")


def test_modules_of_the_user_do_not_stand_in_for_pythons(own_stand: Stand) -> None:
    for name in ("queue.py", "json.py", "logging.py", "selectors.py"):
        (own_stand.folder / name).write_text("raise RuntimeError('this is the user')\n")
    own_stand.write_app("def noop(): pass\n")

    own_stand.start("io")

    own_stand.wait_for(own_stand.enqueue("noop"), "succeeded")


def test_a_greenlet_worker_imports_nothing_after_the_fork(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("imported_since_the_fork")

    assert stand.wait_for(job, "succeeded")[0] == "[]"


def test_workers_collect_garbage_as_often_as_any_python(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("when_garbage_is_collected")

    assert json.loads(stand.wait_for(job, "succeeded")[0]) == list(gc.get_threshold())


def test_seeds_and_forkservers_live_on_whatever_a_group_is_told(own_stand: Stand) -> None:
    own_stand.forkserver("io")

    for name in ("TERM", "INT", "HUP", "USR1", "USR2"):
        for pid in own_stand.pids:
            os.kill(pid, signal.Signals[f"SIG{name}"])

    own_stand.start("io")


def test_term_right_after_the_fork_is_not_lost(stand: Stand) -> None:
    pid = stand.order_worker(stand.forkserver("io"), 0)

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    assert stand.read().state is WorkerState.EXITING


def test_a_forkserver_ends_when_its_socket_closes_and_its_workers_stay(own_stand: Stand) -> None:
    worker = own_stand.start("io")
    before = own_stand.pids - {worker}

    own_stand.forkserver("io").ours.close()

    eventually(lambda: len(before & own_stand.reap()) == 1)
    own_stand.wait_for(own_stand.enqueue("noop"), "succeeded")
    assert worker not in own_stand.ended


def test_a_killed_forkserver_takes_no_worker_with_it(stand: Stand) -> None:
    worker = stand.start("io")
    (forkserver,) = [pid for pid in stand.pids if "forkserver" in title_of(pid)]

    os.kill(forkserver, signal.SIGKILL)

    stand.wait_for_end(forkserver)
    stand.wait_for(stand.enqueue("noop"), "succeeded")
    assert worker not in stand.ended


def title_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_every_process_says_what_it_is(own_stand: Stand) -> None:
    worker = own_stand.start("io")

    titles = {title_of(pid).rstrip("\0 ") for pid in own_stand.pids}

    assert titles == {
        "taskd: greenlet seed",
        "taskd: io forkserver, generation 1",
        "taskd: worker io/0",
    }
    assert title_of(worker).startswith("taskd: worker io/0")


def test_a_hundred_workers_come_and_go_without_a_leak(stand: Stand) -> None:
    talk = stand.forkserver("cpu")
    (forkserver,) = [pid for pid in stand.pids if "forkserver" in title_of(pid)]
    before = len(os.listdir(f"/proc/{forkserver}/fd"))

    for _ in range(100):
        pid = stand.order_worker(talk, 0)
        os.kill(pid, signal.SIGKILL)
        stand.wait_for_end(pid)

    assert len(os.listdir(f"/proc/{forkserver}/fd")) == before
