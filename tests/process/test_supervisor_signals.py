"""HUP, USR1, USR2, TTIN and TTOU."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskd.config.queues import QueueSettings
from taskd.config.sections import LogLevel, PoolSettings
from taskd.config.settings import Settings
from tests.process.daemon import is_alive
from tests.process.fakes.seed import SYNTAX_ERROR
from tests.process.supervised import IO, Supervised, supervised
from tests.waiting import eventually


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Supervised]:
    with supervised(tmp_path) as one:
        yield one


def test_a_reload_replaces_every_worker_by_one_of_the_new_code(master: Supervised) -> None:
    master.start()
    old = master.wait_for_workers(2)

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=2)
    assert len(master.ready_workers(generation=2)) == 2
    assert not any(map(is_alive, old))
    assert not any(death["charge"] for death in master.deaths())
    assert not master.events("HelperDied")


def test_a_worker_is_drained_only_when_its_replacement_is_ready(master: Supervised) -> None:
    master.start()
    old = master.wait_for_workers(2)
    master.stage.direct("worker", "never")

    master.reload(master.settings())

    new = master.wait_for_note("worker", "started", generation=2)["pid"]
    master.wait_until_it_knows([new])
    master.signal(signal.SIGUSR2)
    master.wait_for_note("worker", "signal", generation=2, number=int(signal.SIGUSR2))
    assert master.ready_workers() == old
    assert not master.notes("worker", "signal", number=int(signal.SIGTERM))
    assert len(master.notes("worker", "started", generation=2)) == 1


def test_the_old_forkserver_ends_after_a_reload(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    (old,) = master.notes("forkserver")

    master.reload(master.settings())

    master.wait_for("GenerationComplete")
    eventually(lambda: not is_alive(old["pid"]))


def test_code_that_does_not_import_leaves_the_old_running_and_says_where(
    master: Supervised,
) -> None:
    master.start()
    old = master.wait_for_workers(2)
    master.stage.direct("forkserver", "fails")

    master.reload(master.settings())

    told = master.wait_for("ImportFailed")
    assert (told["error"], told["goes_on"]) == (SYNTAX_ERROR, True)
    assert master.ready_workers() == old
    os.kill(old[0], signal.SIGKILL)
    eventually(lambda: len(master.ready_workers(generation=1)) == 2)


def test_the_next_reload_after_a_failed_import_is_tried_again(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    master.stage.direct("forkserver", "fails")
    master.reload(master.settings())
    master.wait_for("ImportFailed")
    master.stage.direct("forkserver", "well")

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=3)


def test_a_reload_has_a_seed_of_its_own(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    eventually(lambda: not is_alive(master.notes("seed")[0]["pid"]))

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=2)
    assert len(master.notes("seed")) == 2
    eventually(lambda: not is_alive(master.notes("seed")[-1]["pid"]))
    assert not master.events("HelperDied")


def test_the_old_code_goes_on_when_no_seed_can_start(master: Supervised) -> None:
    master.start()
    old = master.wait_for_workers(2)
    eventually(lambda: not is_alive(master.notes("seed")[0]["pid"]))
    master.stage.direct("seed", "fails")

    master.reload(master.settings({"io": IO, "cpu": PoolSettings()}))

    for kind in ("greenlet", "process"):
        master.wait_for("CannotStart", count=2, role=f"seed {kind}")
    assert master.ready_workers() == old
    os.kill(old[0], signal.SIGKILL)
    eventually(lambda: len(master.ready_workers(generation=1)) == 2)
    master.stage.direct("seed", "well")
    master.wait_for_workers(3, generation=2)


def test_a_reload_before_any_seed_was_ready_does_not_hide_that_none_can_be(
    master: Supervised,
) -> None:
    master.stage.direct("seed", "fails")
    master.start()
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    seed = int(eventually(lambda: children.read_text().split())[0])
    command = Path(f"/proc/{seed}/cmdline")
    eventually(lambda: b"taskd.pool.seed" in command.read_bytes())  # the master waits for its exec
    os.kill(seed, signal.SIGSTOP)
    master.reload(master.settings())
    master.wait_for("Reloaded")

    os.kill(seed, signal.SIGCONT)

    assert master.wait() == 1
    assert master.events("Fatal", error="No module named 'gevent'")


def test_faults_in_the_configuration_are_told_and_the_old_one_stays(master: Supervised) -> None:
    master.start()
    old = master.wait_for_workers(2)
    master.stage.direct("resolver", "taskd.yaml:3: pools.io.greenlets: -3 is too few")

    master.signal(signal.SIGHUP)

    assert "taskd.yaml:3" in master.wait_for("ReloadFailed")["faults"]
    assert master.ready_workers() == old
    assert len(master.notes("forkserver")) == 1


def test_a_resolver_that_prints_rubbish_is_a_fault_as_well(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    (master.stage.folder / "settings.json").write_text("hello from sitecustomize")

    master.signal(signal.SIGHUP)

    assert "cannot be read" in master.wait_for("ReloadFailed")["faults"]


def test_a_reload_asked_for_during_a_reload_is_done_afterwards(master: Supervised) -> None:
    master.start()
    master.wait_until_it_knows(master.wait_for_workers(2))
    master.stage.direct("resolver", "waits")
    master.reload(master.settings())
    master.wait_for_note("resolver", "ran")

    three = {"io": replace(IO, processes=3)}
    master.reload(master.settings(three))
    master.reload(master.settings(three))
    master.signal(signal.SIGUSR2)
    master.wait_for_note("worker", "signal", number=int(signal.SIGUSR2))
    master.stage.direct("resolver", "well")

    master.wait_for_workers(3, generation=3)
    assert len(master.notes("resolver", "ran")) == 2


def test_a_reload_does_not_wait_for_the_imports_of_the_one_before(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    master.stage.direct("forkserver", "waits")
    master.reload(master.settings())
    hanging = master.wait_for_note("forkserver", generation=2)
    master.stage.direct("forkserver", "well")

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=3)
    eventually(lambda: not is_alive(hanging["pid"]))


def test_a_worker_ordered_from_the_old_forkserver_is_not_waited_for(master: Supervised) -> None:
    master.start()
    victim, _ = master.wait_for_workers(2)
    master.stage.direct("fork", "swallow")
    os.kill(victim, signal.SIGKILL)
    master.wait_for_note("forkserver", "heard", op="fork", count=3)
    master.stage.direct("fork", "well")

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=2)
    assert master.stop() == 0


def test_a_new_pool_whose_code_does_not_import_does_not_end_the_daemon(
    master: Supervised,
) -> None:
    master.start()
    old = master.wait_for_workers(2)
    master.stage.direct("forkserver", "fails")

    master.reload(master.settings({"io": IO, "more": IO}))

    master.wait_for("ImportFailed", pool="more", goes_on=False)
    master.stage.direct("forkserver", "well")
    eventually(lambda: len(master.ready_workers(generation=2)) == 2)
    assert master.ready_workers() == old


def test_a_pool_that_is_gone_from_the_configuration_ends(master: Supervised) -> None:
    master.start(master.settings({"io": IO, "cpu": PoolSettings()}))
    master.wait_for_workers(3)

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=2)
    assert len(master.ready_workers(generation=2)) == 2
    assert master.ready_workers() == []
    assert not master.events("HelperDied")


def test_maintenance_is_told_the_new_settings(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)

    master.reload(master.settings(max_args=4096))

    note = master.wait_for_note("maintenance", "heard", op="settings")
    assert '"max_args": 4096' in note["told"]["settings"]


def test_what_only_a_restart_changes_is_named_and_stays_as_it_was(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)

    master.reload(master.settings(database="another", lease=3.0, max_args=4096))

    note = master.wait_for_note("maintenance", "heard", op="settings")
    told = Settings.from_json(note["told"]["settings"])
    assert (told.database, told.lease, told.max_args) == ("unused", 15.0, 4096)
    assert master.wait_for("NeedsRestart")["settings"] == ["database", "lease"]

    master.reload(master.settings(max_args=4096))
    master.wait_for("Reloaded", generation=3)
    assert len(master.events("NeedsRestart")) == 1


def test_a_reload_changes_where_and_what_is_logged(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    choices = master.settings().log

    master.log = master.log.with_name("other")
    other = replace(choices, level=LogLevel.INFO, file=str(master.log))
    master.reload(master.settings(log=other))

    master.wait_for("GenerationComplete")
    assert not master.events("WorkerStarted")
    assert not master.events("NeedsRestart")


def test_settings_longer_than_any_message_are_taken_over(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)

    queues = {f"q{number}": QueueSettings(description="x" * 200) for number in range(5000)}
    settings = master.settings(queues=queues)
    assert len(settings.to_json()) > 1_000_000
    master.reload(settings)

    note = master.wait_for_note("maintenance", "heard", op="settings")
    assert Settings.from_json(note["told"]["settings"]).queues == queues
    master.wait_for("GenerationComplete")


def test_more_workers_than_there_is_room_for_is_told(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)

    master.reload(master.settings({"io": replace(IO, processes=20)}))

    assert master.wait_for("NoSlotLeft")["slots"] == 12


def test_ttin_and_ttou_start_and_end_a_worker_of_the_greenlet_pool(master: Supervised) -> None:
    master.start(master.settings({"cpu": PoolSettings(), "io": IO}))
    master.wait_for_workers(3)

    master.signal(signal.SIGTTIN)
    master.wait_for_workers(4)
    assert len(master.notes("worker", "ready", pool="io")) == 3

    master.signal(signal.SIGTTOU)
    master.wait_for_workers(3)
    assert not eventually(master.deaths)[0]["charge"]


def test_usr1_opens_the_log_anew_and_tells_the_children(master: Supervised) -> None:
    master.start()
    master.wait_for_workers(2)
    master.log.rename(master.log.with_suffix(".1"))

    master.signal(signal.SIGUSR1)

    master.wait_for_note("maintenance", "heard", op="reopen")
    master.wait_for_note("forkserver", "heard", op="reopen")
    assert master.log.exists()


def test_usr2_tells_the_state_of_every_child_and_reaches_the_workers(master: Supervised) -> None:
    master.start()
    workers = master.wait_for_workers(2)
    master.wait_until_it_knows(workers)

    master.signal(signal.SIGUSR2)

    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGUSR2))
    said = "\n".join(event["message"] for event in master.events("Said"))
    for text in ("maintenance: pid", "forkserver io: pid"):
        assert text in said
    assert all(f"pid {pid}, generation 1, ready" in said for pid in workers)


def test_usr2_tells_of_a_seed_while_there_is_one(master: Supervised) -> None:
    master.start()
    master.wait_until_it_knows(master.wait_for_workers(2))
    master.stage.direct("forkserver", "waits")
    master.reload(master.settings())
    master.wait_for_note("forkserver", generation=2)

    master.signal(signal.SIGUSR2)

    master.wait_for_note("worker", "signal", count=2, number=int(signal.SIGUSR2))
    seed = master.notes("seed")[-1]["pid"]
    assert master.events("Said", message=f"seed greenlet: pid {seed}")


def test_a_reload_before_the_daemon_is_complete_still_ends_with_ready(master: Supervised) -> None:
    master.stage.direct("forkserver", "waits")
    master.start()
    master.wait_for_note("forkserver", generation=1)
    master.reload(master.settings())
    master.wait_for("Reloaded")

    master.stage.direct("forkserver", "well")

    master.wait_for("Started")
    master.wait_for("GenerationComplete", generation=2)


def test_code_that_never_imported_is_fatal_although_the_start_was_reloaded(
    master: Supervised,
) -> None:
    master.stage.direct("forkserver", "waits")
    master.start()
    master.wait_for_note("forkserver", generation=1)
    master.reload(master.settings())
    master.wait_for("Reloaded")

    master.stage.direct("forkserver", "fails")

    assert master.wait() == 1
    assert master.events("Fatal")


def test_a_terminal_that_is_closed_stops_the_daemon_in_good_order(master: Supervised) -> None:
    terminal, end = os.openpty()
    master.start(stderr=end)
    os.close(end)
    workers = master.wait_for_workers(2)

    os.close(terminal)
    master.signal(signal.SIGHUP)

    assert master.wait() == 0
    assert "terminal" in master.wait_for("Stops")["why"]
    assert not any(map(is_alive, workers))


def test_a_terminal_that_is_closed_while_the_daemon_starts_stops_it(master: Supervised) -> None:
    terminal, end = os.openpty()
    master.stage.direct("master", "waits")
    master.start(stderr=end)
    os.close(end)
    master.wait_for_note("master", "begins")

    os.close(terminal)
    master.signal(signal.SIGHUP)
    master.stage.direct("master", "well")

    assert master.wait() == 0
    assert "terminal" in master.wait_for("Stops")["why"]


def test_the_first_seed_ignores_no_signal_that_whoever_started_the_daemon_did(
    master: Supervised,
) -> None:
    numbers = signal.SIGCHLD, signal.SIGTTOU
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    master.start()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)

    seed = master.wait_for_note("seed")["pid"]

    status = Path(f"/proc/{seed}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert not any(ignored & 1 << number - 1 for number in numbers)


def test_hup_reloads_as_long_as_the_terminal_is_there(master: Supervised) -> None:
    terminal, end = os.openpty()
    master.start(stderr=end)
    os.close(end)
    master.wait_for_workers(2)

    master.reload(master.settings())

    master.wait_for("GenerationComplete", generation=2)
    os.close(terminal)
