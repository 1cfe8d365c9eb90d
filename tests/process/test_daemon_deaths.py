"""Kill any one process of the tree while jobs run: every job is done, and the tree heals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process.daemon import Daemon, Project, is_alive
from tests.waiting import eventually

UNTIL_IT_MAY_GO_ON = """
import os
import time

open("importing", "w").close()
while not os.path.exists("go on"):
    time.sleep(0.05)
"""

CRASHING = """
import ctypes
import faulthandler
import gc
import os
import signal
import time

from taskd import task
from taskd.board.layout import MEMORY
from taskd.pool.place import Place


def look_into_nowhere():
    ctypes.string_at(0)


@task
def be_lost(number, times):
    begin(f"beside {number}")
    while runs(f"beside {number}") <= times:
        time.sleep(0.05)


@task
def read_nothing(neighbours, times):
    begin("crasher")
    while (run := runs("crasher")) <= times:
        if all(runs(f"beside {number}") >= run for number in range(neighbours)):
            break
        time.sleep(0.05)
    place = next(one for one in gc.get_objects() if type(one) is Place)
    while not place.own.words[MEMORY]:  # the master has not looked at it yet
        time.sleep(0.05)
    look_into_nowhere()


def begin(name):
    with open(name, "a") as file:
        file.write("begun\\n")


def runs(name):
    return len(open(name).readlines()) if os.path.exists(name) else 0


@task
def let_a_child_crash():
    child = os.fork()
    if child == 0:
        look_into_nowhere()
    os.waitpid(child, 0)
    os.kill(os.getpid(), signal.SIGSEGV)


@task
def let_a_child_tell_its_crash(path):
    faulthandler.enable(open(path, "w"))
    child = os.fork()
    if child == 0:
        look_into_nowhere()
    os.waitpid(child, 0)


@task
def close_open_and_crash(path):
    os.closerange(3, 4096)
    files = [open(path, "a") for _ in range(40)]
    for file in files:
        file.write("mine")
        file.flush()
    look_into_nowhere()
"""

EXPECTING = """
import ctypes
import faulthandler
import signal

from taskd import task

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
PAGE = 4096
guarded = ctypes.c_void_p(libc.mmap(None, PAGE, 0, 0x22, -1, 0))
Handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p)


class Action(ctypes.Structure):
    _fields_ = [
        ("handler", Handler),
        ("mask", ctypes.c_byte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


def unlock(number, info, context):
    if info[2] > 0:  # the processor's own fault, and not what somebody has sent
        libc.mprotect(guarded, PAGE, 1)
    else:
        libc.signal(number, None)


action = Action(handler=Handler(unlock), flags=4)
libc.sigaction(signal.SIGSEGV, ctypes.byref(action), None)


@task
def read_guarded():
    return len(ctypes.string_at(guarded.value, 16))


@task
def is_faulthandler_on():
    return faulthandler.is_enabled()
"""

LEAVING = """
import gc
import os
import time

from taskd import task
from taskd.pool.place import Place


@task
def go_deaf() -> None:
    place = next(one for one in gc.get_objects() if type(one) is Place)
    os.close(place.wakeups.fds[place.slot])


@task
def hold_out(stubborn: int) -> None:
    if os.path.exists(f"held out {stubborn}"):
        return
    open(f"held out {stubborn}", "w").close()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            if not stubborn:
                raise
"""


@pytest.mark.parametrize("role", ["worker", "forkserver", "maintenance"])
def test_killing_a_process_loses_no_job(project: Project, role: str) -> None:
    daemon = project.start()
    project.enqueue_many("shop.nap", [(0.05,)] * 1000)
    eventually(lambda: project.states().get("succeeded", 0) > 50)
    victim = daemon.pids(role)[0]

    os.kill(victim, signal.SIGKILL)

    project.wait_for_states(succeeded=1000)
    eventually(lambda: daemon.pids(role) and victim not in daemon.pids(role))
    assert daemon.stop() == 0, daemon.log()


def test_killing_the_seed_of_a_reload_loses_no_job(project: Project) -> None:
    daemon = project.start()
    project.enqueue_many("shop.nap", [(0.05,)] * 1000)
    eventually(lambda: project.states().get("succeeded", 0) > 50)
    code = (project.folder / "shop.py").read_text()
    project.write("shop.py", code + UNTIL_IT_MAY_GO_ON)
    daemon.signal(signal.SIGHUP)
    eventually((project.folder / "importing").exists)

    os.kill(daemon.children("greenlet seed")[0], signal.SIGKILL)
    project.write("go on", "")

    daemon.wait_for_log("all workers are replaced")
    project.wait_for_states(succeeded=1000)
    assert "seed greenlet" in daemon.wait_for_log("killed by SIGKILL")
    assert daemon.stop() == 0, daemon.log()


def test_a_job_that_crashes_workers_is_found_and_its_neighbours_are_spared(
    project: Project,
) -> None:
    project.write(
        "taskd.yaml",
        """
        imports: [shop]
        max_crashes: 1
        pools: {io: {processes: 1, greenlets: 5}}
        """,
    )
    project.enqueue_many("shop.nap", [(0.5,)] * 2)
    crasher = project.enqueue("shop.crash")
    project.enqueue_many("shop.nap", [(0.5,)] * 20)

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 1, daemon.log()
    ((failed, error, crashes),) = project.query(
        "SELECT id, error, crashes FROM taskd.history WHERE state <> 's'"
    )
    assert (failed, crashes) == (crasher, 1)
    assert error.startswith(
        "poisoned: it took its worker down 1 times, the last time because: killed by SIGSEGV; "
        "it last held "
    )
    counted = "SELECT losses, count(*) FROM taskd.history WHERE state = 's' GROUP BY 1"
    assert dict(project.query(counted)) == {2: 2, 0: 20}  # the two that had begun before it
    (workers,) = project.query("SELECT count(*) FROM taskd.worker")[0]
    assert 3 <= workers <= 4  # three died of it; a fourth was needed if anything was left to do


@pytest.mark.parametrize("pool", ["processes: 1, greenlets: 5", "processes: 1"])
def test_a_job_that_crashed_shows_the_signal_the_memory_and_where_it_stood(
    project: Project, pool: str
) -> None:
    project.write("shop.py", CRASHING)
    project.write(
        "taskd.yaml",
        f"{{imports: [shop], max_crashes: 1, pools: {{io: {{{pool}}}}}}}",
    )
    together = 2 if "greenlets" in pool else 0  # after two losses each runs alone
    neighbours = project.enqueue_many("shop.be_lost", [(one, together) for one in range(3)])
    crasher = project.enqueue("shop.read_nothing", 3, together)

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 1, daemon.log()
    shown = project.taskd("jobs", "show", str(crasher)).stdout
    assert "killed by SIGSEGV; it last held " in shown
    assert "Segmentation fault" in shown
    assert "in look_into_nowhere" in shown
    assert "in read_nothing" in shown
    assert "taskd/pool" not in shown
    told = "SELECT count(*) FROM taskd.attempt WHERE job = ANY (%s) AND traceback IS NOT NULL"
    assert project.query(told, neighbours) == [(0,)]
    suspected = (
        "SELECT count(*) FROM taskd.attempt WHERE job = %s AND traceback LIKE '%%in read_n%%'"
    )
    assert project.query(suspected, crasher) == [(together,)]
    assert f"job {crasher} stood here:" in daemon.log()


def test_code_that_expects_faults_has_them_to_itself(project: Project) -> None:
    project.write("shop.py", EXPECTING)
    project.write("taskd.yaml", "{imports: [shop], max_crashes: 1, pools: {cpu: {processes: 1}}}")
    project.enqueue("shop.read_guarded")
    asked = project.enqueue("shop.is_faulthandler_on")

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 0, daemon.log()
    assert project.query("SELECT value FROM taskd.result WHERE job = %s", asked) == [("false",)]
    assert project.query("SELECT count(*) FROM taskd.worker") == [(1,)]


def test_a_crash_of_a_jobs_child_is_not_told_as_the_workers(project: Project) -> None:
    project.write("shop.py", CRASHING)
    project.write("taskd.yaml", "{imports: [shop], max_crashes: 1, pools: {cpu: {processes: 1}}}")
    crasher = project.enqueue("shop.let_a_child_crash")

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 1, daemon.log()
    ((traceback,),) = project.query("SELECT traceback FROM taskd.history WHERE id = %s", crasher)
    assert "in let_a_child_crash" in traceback
    assert "look_into_nowhere" not in traceback


def test_a_child_of_a_job_that_has_faulthandler_of_its_own_tells_its_crash(
    project: Project,
) -> None:
    project.write("shop.py", CRASHING)
    project.write("taskd.yaml", "{imports: [shop], pools: {cpu: {processes: 1}}}")
    project.enqueue("shop.let_a_child_tell_its_crash", str(project.folder / "told"))

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 0, daemon.log()
    assert "in look_into_nowhere" in (project.folder / "told").read_text()


def test_a_worker_whose_descriptors_were_closed_crashes_into_no_file_of_a_jobs(
    project: Project,
) -> None:
    project.write("shop.py", CRASHING)
    project.write("taskd.yaml", "{imports: [shop], max_crashes: 1, pools: {cpu: {processes: 1}}}")
    project.enqueue("shop.close_open_and_crash", str(project.folder / "file"))

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 1, daemon.log()
    assert (project.folder / "file").read_text() == "mine" * 40


def test_after_a_kill_of_the_master_its_tree_ends_and_the_next_start_goes_on(
    project: Project,
) -> None:
    daemon = project.start()
    tree = [one["pid"] for one in daemon.tree()]
    project.enqueue_many("shop.nap", [(0.05,)] * 1000)
    eventually(lambda: project.states().get("succeeded", 0) > 50)

    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    project.start()

    project.wait_for_states(succeeded=1000)
    eventually(lambda: not any(is_alive(pid) for pid in tree))


def test_workers_do_not_outlive_a_killed_master(project: Project) -> None:
    daemon = project.start()
    tree = [one["pid"] for one in daemon.tree()]

    os.kill(daemon.pid, signal.SIGKILL)

    daemon.wait()
    eventually(lambda: not any(is_alive(pid) for pid in tree), seconds=30)


def test_sigterm_finishes_what_runs_and_leaves_the_rest(project: Project) -> None:
    daemon = project.start()
    project.enqueue_many("shop.nap", [(4.0,)] * 200)
    eventually(lambda: sum(one["in_flight"] for one in daemon.tree()) == 50)  # all have begun

    assert daemon.stop() == 0, daemon.log()

    assert project.states() == {"succeeded": 50, "queued": 150}


def test_what_does_not_end_in_time_is_given_back_and_goes_on_at_the_next_start(
    project: Project, tmp_path: Path
) -> None:
    project.write(
        "taskd.yaml",
        """
        imports: [shop]
        pools:
          io: {processes: 1, greenlets: 5, shutdown_timeout: 500ms}
        """,
    )
    daemon = project.start()
    path = tmp_path / "marks"
    project.enqueue("shop.mark", str(path), 3)
    eventually(path.exists)

    assert daemon.stop() == 0, daemon.log()
    assert project.states() == {"queued": 1}
    assert project.query("SELECT attempt, lane FROM taskd.queued") == [(0, 10)]

    project.start()
    project.wait_for_states(succeeded=1)


def test_a_stopped_and_continued_master_kills_nobody(project: Project) -> None:
    daemon = project.start()
    before = lasting(daemon)

    daemon.signal(signal.SIGSTOP)
    eventually(
        lambda: Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    )
    project.enqueue_many("shop.nap", [(2.0,)] * 10)
    project.wait_for_states(succeeded=10)
    daemon.signal(signal.SIGCONT)
    project.enqueue_many("shop.nap", [(0.1,)] * 10)
    project.wait_for_states(succeeded=20)

    assert lasting(daemon) == before


def lasting(daemon: Daemon) -> set[int]:
    """Its processes but for the seed, which ends when there is nothing left to fork."""
    return {one["pid"] for one in daemon.tree() if one["role"] != "seed"}


def test_the_master_names_the_second_daemon_of_a_pid_file(project: Project, tmp_path: Path) -> None:
    pid_file = tmp_path / "taskd.pid"
    first = project.start("--pid-file", str(pid_file))

    second = project.start("--pid-file", str(pid_file), ready=False)

    assert second.wait() != 0
    assert str(first.pid) in second.log()
    assert str(pid_file) in second.log()


def test_a_worker_that_drains_by_itself_is_replaced_and_not_waited_for_for_ever(
    project: Project,
) -> None:
    project.write("shop.py", LEAVING)
    project.write(
        "taskd.yaml",
        """
        imports: [shop]
        pools: {io: {processes: 1, greenlets: 5, shutdown_timeout: 0.5s, kill_grace: 0.5s}}
        log: {level: debug}
        """,
    )
    daemon = project.start()
    stubborn = project.enqueue("shop.hold_out", 1)
    obedient = project.enqueue("shop.hold_out", 0)
    eventually(lambda: project.states() == {"running": 2})

    project.enqueue("shop.go_deaf")

    project.wait_for_states(succeeded=3)
    assert "drains (a job has closed its eventfd)" in daemon.wait_for_log("drains (")
    daemon.wait_for_log("interrupts what still runs")
    daemon.wait_for_log("did not end although it was interrupted")
    lost = "SELECT id, losses, crashes FROM taskd.history WHERE task = 'shop.hold_out' ORDER BY id"
    assert project.query(lost) == [(stubborn, 0, 0), (obedient, 0, 0)]
    assert daemon.stop() == 0, daemon.log()
