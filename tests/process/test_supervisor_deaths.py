"""Whatever process of the tree dies, it is replaced, and maintenance is told who died of what."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from taskd.config.memory import MemorySettings
from taskd.config.sections import PoolSettings
from tests.process.daemon import is_alive
from tests.process.supervised import IO, Supervised, supervised
from tests.waiting import eventually


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Supervised]:
    with supervised(tmp_path) as one:
        yield one


def test_a_killed_worker_is_replaced_and_its_death_charged(master: Supervised) -> None:
    master.start()
    victim, other = master.wait_for_workers(2)

    os.kill(victim, signal.SIGKILL)

    death = master.wait_for_death(victim)
    assert death["reason"].startswith("killed by SIGKILL; it last held ")
    assert death["charge"]
    assert death["worker"] == 1000 + death["slot"]
    eventually(lambda: len(master.ready_workers()) == 2)
    assert is_alive(other)


def test_a_dead_workers_slot_is_emptied(master: Supervised) -> None:
    master.stage.direct("worker", "worn")
    master.start()
    victim, other = master.wait_for_workers(2)
    slot = master.notes("worker", "started", pid=victim)[0]["slot"]
    master.stage.direct("worker", "never")

    os.kill(victim, signal.SIGKILL)

    note = master.wait_for_note("worker", "started", count=3)
    assert note["slot"] == slot
    assert note["found"] == {"idle": 0, "worker": 0, "done": 0}
    assert is_alive(other)


def test_workers_live_on_when_their_forkserver_dies(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)
    master.wait_for("Started")
    eventually(lambda: not is_alive(master.notes("seed")[0]["pid"]))

    os.kill(master.notes("forkserver")[0]["pid"], signal.SIGKILL)

    master.wait_for_note("forkserver", count=2)
    assert len(master.notes("seed")) == 2
    assert master.ready_workers() == workers
    os.kill(workers[0], signal.SIGKILL)
    eventually(lambda: len(master.ready_workers()) == 2)


def test_a_reload_goes_on_when_its_seed_dies(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)
    master.stage.direct("forkserver", "waits")
    master.reload(master.settings())
    master.wait_for_note("forkserver", generation=2)

    os.kill(master.notes("seed")[-1]["pid"], signal.SIGKILL)

    master.wait_for("HelperDied", role="seed greenlet")
    assert master.ready_workers() == workers
    master.stage.direct("forkserver", "well")
    master.wait_for("GenerationComplete", generation=2)


def test_maintenance_lives_on_when_its_seed_dies(master: Supervised) -> None:
    master.stage.direct("forkserver", "waits")
    master.start()
    master.wait_for_note("maintenance", "heard", op="tree")
    before = master.notes("maintenance")

    os.kill(master.notes("seed")[0]["pid"], signal.SIGKILL)
    master.wait_for_note("seed", count=2)
    master.stage.direct("forkserver", "well")
    master.wait_for("Started")

    assert master.stop() == 0
    assert master.notes("maintenance") == before


def test_killed_maintenance_is_replaced_and_told_what_it_missed(master: Supervised) -> None:
    master.start()
    victim, _ = master.wait_for_workers(2)
    master.stage.direct("maintenance", "dies")
    master.wait_for("HelperDied", role="maintenance")

    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(master.ready_workers()) == 2)
    master.stage.direct("maintenance", "well")

    heir = eventually(lambda: master.notes("maintenance", "heard", op="tree"))[-1]["pid"]
    eventually(lambda: master.notes("maintenance", "heard", op="tree")[-1]["pid"] != heir)
    assert master.wait_for_death(victim)["charge"]
    last = master.notes("maintenance")[-1]["pid"]
    eventually(lambda: master.notes("maintenance", "heard", op="tasks", pid=last))


def test_a_daemon_ends_that_will_never_have_maintenance_again(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    eventually(lambda: not is_alive(master.notes("seed")[0]["pid"]))
    master.stage.direct("seed", "is of another version")

    os.kill(master.notes("maintenance")[0]["pid"], signal.SIGKILL)

    assert master.wait() == 1
    assert master.events("Fatal", error="taskd 9 is installed: restart the daemon")


def test_maintenance_that_keeps_dying_is_started_at_growing_intervals(master: Supervised) -> None:
    master.stage.direct("maintenance", "dies")
    master.start()

    master.wait_for("HelperDied", count=4)

    pauses = [event["pause"] for event in master.events("HelperDied")]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert len(master.notes("seed")) == 1


def test_maintenance_that_does_not_import_any_more_is_tried_again(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)
    first = master.wait_for_note("maintenance", "heard", op="tasks")["pid"]
    master.stage.direct("maintenance", "fails")
    master.wait_for("CannotStart", count=2, role="maintenance")
    master.stage.direct("maintenance", "well")

    eventually(lambda: master.notes("maintenance", "heard", op="tasks")[-1]["pid"] != first)
    assert master.ready_workers() == workers
    assert master.stop() == 0


def test_a_worker_that_dies_before_it_is_ready_frees_its_slot_and_is_slowed_down(
    master: Supervised,
) -> None:
    master.stage.direct("worker", "early")
    master.start(master.settings({"io": PoolSettings(greenlets=5)}))
    master.wait_for("WorkerDied", count=4, how="exited with status 3")
    master.stage.direct("worker", "well")

    master.wait_for_workers(1)

    assert [event["pause"] for event in master.events("WorkerDied")][:4] == [0.1, 0.2, 0.4, 0.8]
    assert {note["slot"] for note in master.notes("worker")} == {0}
    assert all(death["charge"] for death in master.deaths())


def test_a_worker_that_never_gets_ready_is_killed_and_replaced(master: Supervised) -> None:
    master.stage.direct("worker", "never")
    master.start(master.settings({"io": PoolSettings(greenlets=5, startup_timeout=0.5)}))
    master.wait_for("WorkerKilled", reason="was not ready within 0.5 s")
    master.stage.direct("worker", "well")

    master.wait_for_workers(1)

    assert not any(death["charge"] for death in master.deaths())


def test_a_forkserver_that_never_answers_is_replaced(master: Supervised) -> None:
    master.stage.direct("fork", "swallow")
    master.start(master.settings({"io": PoolSettings(greenlets=5, startup_timeout=0.5)}))
    master.wait_for_note("forkserver", "heard", op="fork")
    master.stage.direct("fork", "well")

    master.wait_for_workers(1)

    assert master.stop() == 0


def test_a_job_over_its_time_is_warned_then_its_worker_killed_and_charged(
    master: Supervised,
) -> None:
    master.stage.direct("worker", "late")
    master.start(master.settings({"cpu": PoolSettings(kill_grace=0.3)}))
    (worker,) = master.wait_for_workers(1)
    master.stage.direct("worker", "well")

    death = master.wait_for_death(worker)

    assert len(master.notes("worker", "signal", pid=worker, number=int(signal.SIGUSR1))) == 1
    assert (death["culprit"], death["why"], death["charge"]) == (7, "timeout", False)
    assert death["reason"] == "job 7 ran over its timeout and did not end"
    eventually(lambda: len(master.ready_workers()) == 1)


def test_jobs_that_ran_as_their_worker_fell_ill_are_charged_when_it_has_to_be_killed(
    master: Supervised,
) -> None:
    master.stage.direct("worker", "ill")
    impatient = PoolSettings(greenlets=5, shutdown_timeout=0.1, kill_grace=0.1)
    master.start(master.settings({"io": impatient}))
    ill = master.wait_for_note("worker", "ready")["pid"]
    master.stage.direct("worker", "well")

    death = master.wait_for_death(ill)

    assert (death["charge"], death["begun"]) == (True, [7])


@pytest.mark.parametrize(("word", "canaries"), [("ill", 2), ("full", 1)])
def test_a_canary_that_leaves_before_it_has_seen_enough_is_followed_by_another(
    master: Supervised, word: str, canaries: int
) -> None:
    impatient = PoolSettings(greenlets=5, shutdown_timeout=0.1, kill_grace=0.1)
    master.start(master.settings({"io": impatient}))
    (usual,) = master.wait_for_workers(1)
    master.stage.direct("worker", word)
    master.say_as_maintenance("hunt", pool="io")
    canary = master.wait_for_note("worker", count=2)["pid"]
    master.stage.direct("worker", "well")

    master.wait_for_death(canary)
    os.kill(usual, signal.SIGKILL)
    master.wait_for_note("worker", count=2 + canaries)

    assert len(master.events("CanaryStarted")) == canaries


def test_a_worn_worker_is_replaced_by_one_that_is_ready_first(master: Supervised) -> None:
    master.stage.direct("worker", "worn")
    of_100_jobs = MemorySettings(max_jobs=100, min_lifetime=0.0)
    master.start(master.settings({"io": PoolSettings(greenlets=5, memory=of_100_jobs)}))
    (old,) = master.wait_for_workers(1)
    master.stage.direct("worker", "well")

    assert not master.wait_for_death(old)["charge"]

    lines = master.notes("worker", "ready") + master.notes("worker", "signal", pid=old)
    assert [line["did"] for line in lines][-1] == "signal"
    assert len(master.notes("worker", "ready")) >= 2


def test_what_a_process_workers_job_started_ends_with_it(master: Supervised) -> None:
    master.stage.direct("worker", "parent")
    master.start(master.settings({"cpu": PoolSettings()}))
    (worker,) = master.wait_for_workers(1)
    master.wait_for_note("job's child", count=2)
    master.stage.direct("worker", "well")
    children = [note["pid"] for note in master.notes("job's child")]

    os.kill(worker, signal.SIGKILL)

    eventually(lambda: not any(map(is_alive, children)))


def test_an_order_of_maintenance_reaches_a_worker_that_does_not_hear(master: Supervised) -> None:
    master.start()
    worker, other = master.wait_for_workers(2)
    slot = master.notes("worker", "started", pid=worker)[0]["slot"]

    order = {"slot": slot, "pid": worker, "job": 7, "order": "interrupt", "waited": 0.3}
    master.say_as_maintenance("signal", **order)

    master.wait_for_note("worker", "signal", pid=worker, number=int(signal.SIGUSR1))
    assert not master.notes("worker", "signal", pid=other)


def test_the_next_master_ends_what_survived_of_a_killed_one(master: Supervised) -> None:
    master.stage.direct("worker", "parent")
    master.start(master.settings({"cpu": PoolSettings()}))
    master.wait_for_workers(1)
    master.wait_for_note("job's child", count=2)
    survivors = [note["pid"] for note in master.notes("job's child")]
    run = master.stage.folder / "state" / "run"
    (dead,) = {path.stem for path in run.iterdir()}
    master.process.kill()
    master.wait()
    assert any(map(is_alive, survivors))

    master.stage.direct("worker", "well")
    master.start()
    master.wait_for_workers(2)

    assert not any(map(is_alive, survivors))
    assert master.notes("maintenance")[-1]["dead"] == [dead]
    eventually(lambda: dead not in {path.stem for path in run.iterdir()})


def test_two_masters_of_one_state_directory_leave_each_other_alone(master: Supervised) -> None:
    master.start()
    first = master.process
    workers = master.wait_for_workers(2)

    master.start()
    master.wait_for_workers(4)

    assert all(map(is_alive, workers))
    assert master.notes("maintenance")[-1]["dead"] == []
    assert master.stop() == 0
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0


def test_a_storm_of_deaths_leaves_a_whole_tree_and_nothing_open(master: Supervised) -> None:
    settings = master.settings({"io": replace(IO, processes=4), "cpu": PoolSettings()})
    master.start(settings)
    eventually(lambda: is_whole(master, workers=5))
    eventually(lambda: len(open_files(master, "/proc/")) == 2 * 5)  # each worker's memory
    descriptors = len(open_files(master))
    chance = random.Random(7)

    for _ in range(60):
        children = master.children()
        for pid in chance.sample(children, min(3, len(children))):
            kill_and_see(pid)
        if chance.random() < 0.2:
            master.reload(settings)
    master.reload(settings)

    eventually(lambda: is_whole(master, workers=5), 60)
    eventually(lambda: len(open_files(master, "/proc/")) == 2 * 5)
    eventually(lambda: len(open_files(master)) == descriptors)  # it closes after it has reaped
    eventually(lambda: untold(master) == set())
    assert master.stop() == 0


def open_files(master: Supervised, under: str = "") -> list[str]:
    """What the master has open, below a path."""
    folder = Path(f"/proc/{master.pid}/fd")
    found = []
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            found.append(os.readlink(folder / name))
    return [path for path in found if path.startswith(under)]


def is_whole(master: Supervised, workers: int) -> bool:
    """Whether there is one of each helper, no seed, and all workers are of the newest code."""
    newest = max([event["generation"] for event in master.events("Reloaded")], default=1)
    helpers = len(["maintenance", "forkserver io", "forkserver cpu"])
    return (
        len(master.ready_workers(newest)) == workers and len(master.children()) == workers + helpers
    )


def untold(master: Supervised) -> set[int]:
    """The workers whose end maintenance has not been told."""
    ended = {note["pid"] for note in master.notes("worker") if not is_alive(note["pid"])}
    return ended - {death["pid"] for death in master.deaths()}


def kill_and_see(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid))


def test_after_a_standstill_of_the_whole_tree_nobody_is_replaced(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)
    master.wait_for("Started")
    maintenance = master.notes("maintenance")[0]["pid"]
    os.kill(maintenance, signal.SIGSTOP)
    master.signal(signal.SIGSTOP)
    stale_at = monotonic() + 6.0  # older than a beat may be
    eventually(lambda: monotonic() > stale_at)

    master.signal(signal.SIGCONT)
    master.signal(signal.SIGUSR2)
    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGUSR2))
    os.kill(maintenance, signal.SIGCONT)
    master.signal(signal.SIGUSR1)
    master.wait_for_note("maintenance", "heard", op="reopen", pid=maintenance)

    assert not master.events("MaintenanceHangs")
    assert master.ready_workers() == workers
    assert master.stop() == 0
