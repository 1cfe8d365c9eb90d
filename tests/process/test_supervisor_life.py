"""How a tree comes up and goes down."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.config.sections import LogSettings, PoolSettings
from tests.process.daemon import is_alive
from tests.process.supervised import IO, Supervised, supervised
from tests.waiting import eventually


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Supervised]:
    with supervised(tmp_path) as one:
        yield one


def test_a_tree_comes_up_and_goes_down_in_order(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)
    master.wait_for("Started")
    helpers = [note["pid"] for note in master.notes("seed") + master.notes("forkserver")]

    assert master.stop() == 0

    assert not any(map(is_alive, workers + helpers))
    assert sorted(death["pid"] for death in master.deaths()) == sorted(workers)
    assert not any(death["charge"] for death in master.deaths())
    heard = [note["op"] for note in master.notes("maintenance", "heard")]
    assert heard[-1] == "stop"
    assert not list((master.stage.folder / "state" / "run").iterdir())


def test_a_seed_lives_through_what_its_group_is_told_at_its_birth(master: Supervised) -> None:
    master.start()
    (seed,) = eventually(master.children)

    for name in ("INT", "HUP", "USR1", "USR2", "TERM"):
        os.kill(seed, signal.Signals[f"SIG{name}"])

    master.wait_for_workers(2)
    assert [note["pid"] for note in master.notes("seed")] == [seed]


def test_a_seed_ends_once_nothing_is_to_be_forked_from_it(master: Supervised) -> None:
    master.start(master.settings({"io": IO, "cpu": PoolSettings()}))
    workers = master.wait_for_workers(3)
    seeds = master.notes("seed")

    eventually(lambda: not any(is_alive(seed["pid"]) for seed in seeds))
    os.kill(workers[0], signal.SIGKILL)
    eventually(lambda: len(master.ready_workers()) == 3)

    assert sorted(seed["kind"] for seed in master.notes("seed")) == ["greenlet", "process"]
    assert not master.events("HelperDied")


def test_a_seed_stays_while_maintenance_tries_to_open_the_database(master: Supervised) -> None:
    master.stage.direct("maintenance", "waits")
    master.start()
    master.wait_for("DatabaseTried", count=3)

    (seed,) = master.notes("seed")
    assert is_alive(seed["pid"])
    master.stage.direct("maintenance", "well")
    eventually(lambda: not is_alive(seed["pid"]))


def test_the_last_line_says_that_it_is_over_and_how_long_that_took(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)

    master.stop()

    last = json.loads(master.log.read_text().splitlines()[-1])
    assert last["event"] == "Stopped"
    assert 0.0 < last["seconds"] < 20.0


def test_the_tree_is_told_to_maintenance(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)

    def told() -> bool:
        notes = master.notes("maintenance", "heard", op="tree")
        tree = [(one["role"], one["pid"]) for one in notes[-1]["told"]["processes"]]
        roles = [role for role, _ in tree]
        expected = ["master", "maintenance", "forkserver", "worker", "worker"]
        return roles == expected and {pid for _, pid in tree[-2:]} == set(workers)

    eventually(told)
    trees = [note["told"]["processes"] for note in master.notes("maintenance", "heard", op="tree")]
    assert [one["role"] for one in trees[0]] == ["master", "seed"]
    last = trees[-1]
    assert last[-1] == {**last[-1], "pool": "io", "generation": 1}
    assert master.notes("maintenance", "heard", op="tasks")[0]["told"]["pool"] == "io"


def test_no_worker_starts_before_the_database_is_open(master: Supervised) -> None:
    master.stage.direct("maintenance", "waits")
    master.start()
    master.wait_for("DatabaseTried", count=3, error="connection refused")
    assert master.notes("worker") == []

    master.stage.direct("maintenance", "well")

    master.wait_for_workers(2)
    assert {note["dsn"] for note in master.notes("worker")} == {"the database"}


def test_a_master_that_waits_for_the_database_can_be_stopped(master: Supervised) -> None:
    master.stage.direct("maintenance", "waits")
    master.start()
    master.wait_for("DatabaseTried")

    assert master.stop() == 0


def test_a_database_that_refuses_ends_the_daemon_and_is_told_once(master: Supervised) -> None:
    master.stage.direct("maintenance", "refuses")
    master.start()

    assert master.wait() == 1

    assert len(master.events("Fatal", error="password authentication failed")) == 1
    assert len(master.notes("maintenance")) == 1


def test_maintenance_that_does_not_import_ends_a_daemon_that_never_ran(master: Supervised) -> None:
    master.stage.direct("maintenance", "fails")
    master.start()

    assert master.wait() == 1

    assert master.events("CannotStart", role="maintenance", error="No module named 'psycopg'")
    assert master.events("Fatal", error="No module named 'psycopg'")


def test_code_that_does_not_import_ends_a_daemon_that_never_ran(master: Supervised) -> None:
    master.stage.direct("forkserver", "fails")
    master.start()

    assert master.wait() == 1

    assert "shop.py:6: SyntaxError" in master.wait_for("ImportFailed")["message"]


def test_imports_that_do_not_end_end_a_daemon_that_never_ran(master: Supervised) -> None:
    master.stage.direct("forkserver", "waits")
    master.start(master.settings({"io": PoolSettings(greenlets=5, startup_timeout=0.5)}))

    assert master.wait() == 1

    assert "did not end within 0.5 s" in master.wait_for("ImportFailed")["message"]


def test_a_runtime_that_does_not_work_ends_the_daemon(master: Supervised) -> None:
    master.stage.direct("seed", "fails")
    master.start()

    assert master.wait() == 1

    assert master.events("Fatal", error="No module named 'gevent'")


def test_imports_that_leave_threads_open_are_left_to_the_workers(master: Supervised) -> None:
    master.stage.direct("forkserver", "unsuitable")
    master.start()

    master.wait_for_workers(2)

    assert master.events("ImportsAfterFork")[0]["found"] == ["thread worker-1"]
    assert [note["late"] for note in master.notes("forkserver")] == [False, True]
    assert len(master.notes("seed")) == 1
    tasks = [note["told"]["tasks"] for note in master.notes("maintenance", "heard", op="tasks")]
    assert tasks[-1] == [{"task": "shop.add"}]


def test_term_lets_what_runs_finish_then_interrupts_then_kills(master: Supervised) -> None:
    master.stage.direct("worker", "stubborn")
    pool = PoolSettings(greenlets=5, shutdown_timeout=0.3, kill_grace=0.3)
    master.start(master.settings({"io": pool}))
    (worker,) = master.wait_for_workers(1)

    assert master.stop() == 0

    terms = master.notes("worker", "signal", number=int(signal.SIGTERM))
    assert len(terms) == 2
    (death,) = master.deaths()
    assert (death["pid"], death["charge"]) == (worker, False)
    assert death["reason"] == "did not end although it was interrupted"


def test_a_second_term_does_not_interrupt(master: Supervised) -> None:
    master.stage.direct("worker", "busy")
    master.start()
    workers = master.wait_for_workers(2)

    master.signal(signal.SIGTERM)
    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGTERM))
    master.signal(signal.SIGTERM)
    master.signal(signal.SIGUSR2)
    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGUSR2))

    assert all(map(is_alive, workers))
    assert len(master.notes("worker", "signal", number=int(signal.SIGTERM))) == 2


def test_a_second_interrupt_gives_back_what_runs_at_once(master: Supervised) -> None:
    master.stage.direct("worker", "busy")
    master.start()
    master.wait_for_workers(2)

    master.signal(signal.SIGINT)
    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGTERM))
    master.signal(signal.SIGINT)

    assert master.wait() == 0
    assert len(master.notes("worker", "signal", number=int(signal.SIGTERM))) == 4


def test_a_third_interrupt_kills(master: Supervised) -> None:
    master.stage.direct("worker", "stubborn")
    master.start()
    master.wait_for_workers(2)

    master.signal(signal.SIGINT)
    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGTERM))
    master.signal(signal.SIGINT)
    master.wait_for_note("worker", "signal", count=4, number=int(signal.SIGTERM))
    master.signal(signal.SIGINT)

    assert master.wait() == 0
    assert {death["reason"] for death in master.deaths()} == {"killed on demand"}


def test_quit_gives_back_what_runs_at_once(master: Supervised) -> None:
    master.stage.direct("worker", "busy")
    master.start()
    master.wait_for_workers(2)

    master.signal(signal.SIGQUIT)

    assert master.wait() == 0


def test_a_stop_while_workers_are_being_forked_reaches_them(master: Supervised) -> None:
    master.start(master.settings({"io": PoolSettings(processes=20, greenlets=5)}))
    master.wait_for_note("worker", "started", count=3)

    assert master.stop() == 0

    assert not any(is_alive(note["pid"]) for note in master.notes("worker"))


def test_a_stop_does_not_wait_for_a_forkserver_that_never_answers(master: Supervised) -> None:
    master.stage.direct("fork", "swallow")
    pool = PoolSettings(greenlets=5, shutdown_timeout=0.1, kill_grace=0.1)
    master.start(master.settings({"io": pool}))
    master.wait_for_note("forkserver", "heard", op="fork")

    assert master.stop() == 0


def test_a_drained_burst_ends_with_status_0(master: Supervised) -> None:
    master.start(master.settings(burst=True))
    master.wait_for_workers(2)

    master.say_as_maintenance("drained", failed=0, left=["queue slow is paused: 3 left in it"])

    assert master.wait() == 0
    assert master.events("Said", text="left: queue slow is paused: 3 left in it")
    assert "nothing failed" in master.wait_for("Stops")["message"]


def test_a_burst_with_failures_ends_with_status_1(master: Supervised) -> None:
    master.start(master.settings(burst=True))
    master.wait_for_workers(2)

    master.say_as_maintenance("drained", failed=2, left=[])

    assert master.wait() == 1
    assert "2 failed" in master.wait_for("Stops")["message"]


def test_the_second_daemon_of_a_pid_file_says_who_has_it(master: Supervised) -> None:
    path = master.stage.folder / "taskd.pid"
    settings = master.settings(pid_file=str(path))
    master.start(settings)
    first = master.process
    master.wait_for_workers(2)
    assert path.read_text() == f"{first.pid}\n"

    master.start(settings)

    assert master.wait() == 1
    assert f"(pid {first.pid})" in master.wait_for("Fatal")["message"]
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert not path.exists()


def test_a_reader_that_does_not_read_holds_up_nobody(master: Supervised) -> None:
    reading, writing = os.pipe()
    quiet = LogSettings(file=None)
    master.start(master.settings(log=quiet), stderr=writing)
    os.close(writing)
    workers = master.wait_for_workers(2)
    master.wait_until_it_knows(workers)

    for count in range(1, 401):
        master.signal(signal.SIGUSR2)
        master.wait_for_note("worker", "signal", count=2 * count, number=int(signal.SIGUSR2))
    os.kill(workers[0], signal.SIGKILL)
    eventually(lambda: len(master.ready_workers()) == 2)

    assert master.stop() == 0
    os.close(reading)


def test_the_daemon_says_what_it_is_made_of_and_what_to_do_next(master: Supervised) -> None:
    master.start()
    master.wait_for("Started")

    master.wait_for("Said", count=3)
    said = [event["message"] for event in master.events("Said")]
    assert said[:2] == ["pool io: 2 processes of 5 greenlets each, all queues", "the data is here"]
    assert said[2].startswith("next: name the modules")
