from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from taskd.board.layout import IDLE, LOOK
from taskd.clock import monotonic
from taskd.config.handover import settings_in_memory
from taskd.config.sections import LogSettings
from taskd.config.settings import PoolSettings, Settings
from taskd.logs import LogWriter
from taskd.maintenance.process import Process, Setup
from taskd.store import hosts, jobs, look
from taskd.store.connect import Connection
from tests.crew import Crew
from tests.store.keepers import count, cut
from tests.store.makers import add_jobs, add_worker, claim, places
from tests.waiting import eventually

pytestmark = pytest.mark.one_server

if TYPE_CHECKING:
    from tests.conftest import TestServer

POOLS = {"io": PoolSettings(processes=4, greenlets=25)}


class Master:
    """The test as the master of one maintenance, which runs in a thread here."""

    def __init__(self, settings: Settings, dead: tuple[str, ...] = ()) -> None:
        self.crew = Crew(settings.pools)
        self.socket, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.kick_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.incarnation = uuid4()
        self.status: int | None = None
        setup = Setup(
            settings=settings,
            board=self.crew.board,
            wakeups=self.crew.wakeups,
            control=end,
            kick_fd=self.kick_fd,
            incarnation=str(self.incarnation),
            dead_incarnations=dead,
            events=self.crew.host.events,
        )
        self.process = Process(setup, LogWriter(setup.settings.log, "maintenance"))
        self.thread = threading.Thread(target=self._run)
        self._end = end

    def _run(self) -> None:
        self.status = self.process.run()

    def start(self) -> Master:
        self.thread.start()
        return self

    def tell(self, op: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"op": op, **fields}).encode())

    def tell_settings(self, settings: Settings) -> None:
        with settings_in_memory(settings) as fd:
            socket.send_fds(self.socket, [b'{"op": "settings"}'], [fd])

    def hear(self, op: str) -> dict[str, Any]:
        """The next message of this kind."""
        while True:
            message: dict[str, Any] = json.loads(self.socket.recv(1 << 18))
            if message["op"] == op:
                return message

    def kick(self) -> None:
        os.eventfd_write(self.kick_fd, 1)

    def employ(self, slot: int, pid: int | None = None) -> int:
        """A registered worker of pool io that is busy; its id."""
        pid = pid or os.getpid()
        process = {"pid": pid, "role": "worker", "pool": "io", "slot": slot, "generation": 1}
        self.tell("tree", processes=[process])
        return pid

    def idle(self, slot: int, free: int = 25) -> None:
        """A worker of pool io waits for work, and says so."""
        self.crew.hire(slot, idle=free)
        self.employ(slot)
        self.kick()

    def stop(self) -> int | None:
        """Stop it, whatever state it is in; its status."""
        with suppress(OSError):
            self.tell("stop")
        self.thread.join(20)
        self.close()
        return self.status

    def close(self) -> None:
        self.socket.close()
        self.thread.join(20)
        self._end.close()


Start = Callable[..., Master]


@pytest.fixture
def start(dsn: str) -> Iterator[Start]:
    """Starts maintenance on the test's database; it is ready when this returns."""
    started: list[Master] = []

    def begin(dead: tuple[str, ...] = (), **settings: Any) -> Master:
        chosen = Settings(**{"database": dsn, "pools": POOLS, **settings})
        started.append(Master(chosen, dead).start())
        assert started[-1].hear("ready")["host"] == started[-1].crew.board.host
        return started[-1]

    yield begin
    for master in started:
        master.stop()


def living_hosts(connection: Connection) -> list[int]:
    return [row.id for row in hosts.list_hosts(connection)]


def is_idle(connection: Connection) -> bool:
    return bool(count(connection, "SELECT count(*) FROM taskd.host WHERE idle"))


def test_it_tells_the_master_when_it_is_ready(start: Start, connection: Connection) -> None:
    master = start()

    assert living_hosts(connection) == [master.crew.board.host]


def test_an_enqueue_wakes_an_idle_worker(start: Start, connection: Connection) -> None:
    master = start()
    master.idle(0)
    eventually(lambda: is_idle(connection))

    add_jobs(connection)

    assert eventually(master.crew.take_wakeups) == [0]


@pytest.mark.parametrize("listen", [True, False])
@pytest.mark.parametrize("always_notify", [True, False])
def test_a_commit_after_the_host_went_idle_wakes_a_worker_within_a_second(
    start: Start,
    connection: Connection,
    connect_again: Callable[[], Connection],
    listen: bool,
    always_notify: bool,
) -> None:
    master = start(listen=listen)
    client = connect_again()
    client.execute("BEGIN")
    add_jobs(client, always_notify=always_notify)
    master.idle(0)
    eventually(lambda: is_idle(connection))
    master.crew.take_wakeups()

    client.execute("COMMIT")
    committed = monotonic()

    eventually(master.crew.take_wakeups)
    assert monotonic() - committed < 1.0


def test_a_job_is_promoted_when_it_is_due(start: Start, connection: Connection) -> None:
    master = start()
    master.idle(0)
    eventually(lambda: is_idle(connection))
    master.crew.take_wakeups()

    (job,) = add_jobs(connection, delay=0.3)
    began = monotonic()
    eventually(master.crew.take_wakeups)

    assert 0.25 < monotonic() - began < 1.5
    assert places(connection, job) == ["queued"]


def test_the_jobs_of_a_worker_that_died_go_back(start: Start, connection: Connection) -> None:
    master = start()
    worker = add_worker(connection, master.crew.board.host)
    (job,) = add_jobs(connection)
    claim(connection, worker)

    master.tell("died", slot=0, pid=1, worker=worker, reason="killed by signal 9", charge=True)

    eventually(lambda: places(connection, job) == ["queued"])


def test_the_jobs_of_a_host_that_beats_no_more_go_back_after_a_lease(
    start: Start, connection: Connection
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    claim(connection, worker)

    began = monotonic()
    start(lease=1.0)
    eventually(lambda: places(connection, job) == ["queued"])

    assert monotonic() - began >= 1.0


def test_two_hosts_leave_each_other_alone(start: Start, connection: Connection) -> None:
    masters = [start(lease=1.0), start(lease=1.0)]
    before = count(connection, "SELECT sum(beat) FROM taskd.host")

    eventually(lambda: count(connection, "SELECT sum(beat) FROM taskd.host") >= before + 10)

    assert living_hosts(connection) == [master.crew.board.host for master in masters]


def test_the_jobs_of_a_dead_incarnation_go_back_at_the_start(
    start: Start, connection: Connection
) -> None:
    dead = uuid4()
    worker = add_worker(connection, hosts.register_host(connection, dead, "here", 1, "0"))
    (job,) = add_jobs(connection)
    claim(connection, worker)

    master = start(dead=(str(dead),))

    assert master.hear("rescued")["incarnation"] == str(dead)
    assert places(connection, job) == ["queued"]


def test_a_cancel_reaches_the_worker_of_the_job(start: Start, connection: Connection) -> None:
    master = start()
    worker = add_worker(connection, master.crew.board.host)
    slot = master.crew.hire(3, worker=worker)
    (job,) = add_jobs(connection)
    claim(connection, worker)

    jobs.cancel_jobs(connection, [job])

    assert eventually(lambda: slot.words[LOOK]) == job
    order = master.hear("signal")
    assert (order["order"], order["slot"], order["job"]) == ("interrupt", 3, job)
    assert order["waited"] >= 0.3


def test_a_report_that_is_asked_for_names_the_processes(
    start: Start, connection: Connection
) -> None:
    master = start()
    master.employ(2)
    hosts.ask_reports(connection)

    def report() -> list[dict[str, Any]]:
        (row,) = hosts.list_hosts(connection)
        found: list[dict[str, Any]] = json.loads(row.processes)
        return found

    (entry,) = eventually(report)
    assert (entry["pid"], entry["role"], entry["pool"]) == (os.getpid(), "worker", "io")


def test_tasks_that_come_in_parts_are_published_as_one_list(
    start: Start, connection: Connection
) -> None:
    master = start()

    master.tell("tasks", pool="io", tasks=[{"name": "shop.sync"}], more=True)
    master.tell("tasks", pool="io", tasks=[{"name": "shop.mail"}], more=False)

    tasks = eventually(lambda: hosts.list_tasks(connection))
    assert [task["name"] for task in tasks] == ["shop.mail", "shop.sync"]


def test_new_settings_change_which_queues_are_served(start: Start, connection: Connection) -> None:
    master = start(pools={"io": PoolSettings(queues=("sync",), greenlets=25)})
    master.idle(0)
    add_jobs(connection, queue="mail")
    master.crew.take_wakeups()

    settings = Settings(database="postgresql://elsewhere/db", pools=POOLS)
    master.tell_settings(settings)

    assert eventually(master.crew.take_wakeups) == [0]


def test_a_paused_queue_is_resumed_with_a_wakeup(start: Start, connection: Connection) -> None:
    connection.execute("INSERT INTO taskd.queue (name, paused) VALUES ('default', true)")
    master = start()
    master.idle(0)
    eventually(lambda: is_idle(connection))
    add_jobs(connection)
    add_jobs(connection, queue="other")
    eventually(master.crew.take_wakeups)

    with connection.transaction():
        connection.execute("UPDATE taskd.queue SET paused = false")
        connection.execute("""SELECT pg_notify('taskd', '"request"')""")

    assert eventually(master.crew.take_wakeups) == [0]


def test_a_burst_tells_when_all_is_done(start: Start, connection: Connection) -> None:
    add_jobs(connection, delay=3600.0)

    master = start(burst=True)

    drained = master.hear("drained")
    assert (drained["failed"], drained["left"]) == (0, ["1 scheduled more than 60 s ahead"])


def test_stop_gives_back_what_is_left_and_ends_the_host(
    start: Start, connection: Connection
) -> None:
    master = start()
    worker = add_worker(connection, master.crew.board.host)
    (job,) = add_jobs(connection)
    claim(connection, worker)

    status = master.stop()

    assert status == 0
    assert living_hosts(connection) == []
    assert places(connection, job) == ["queued"]
    found = look.fetch_job(connection, job)
    assert found is not None
    assert found.losses == 0


def test_without_its_master_it_ends_and_leaves_the_host_row_to_the_next_one(
    start: Start, connection: Connection
) -> None:
    master = start()

    master.close()

    assert master.status == 0
    assert living_hosts(connection) == [master.crew.board.host]


def test_without_its_master_it_beats_on_while_a_worker_lives(
    start: Start, connection: Connection
) -> None:
    master = start(lease=1.0)
    worker = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    master.crew.hire(0, pid=worker.pid)

    def beats() -> int:
        return count(connection, "SELECT beat FROM taskd.host")

    master.socket.close()
    before = beats()
    eventually(lambda: beats() >= before + 3)
    still_there = master.thread.is_alive()
    worker.communicate()
    master.close()

    assert still_there
    assert master.status == 0


def test_it_recovers_when_all_its_connections_are_cut(start: Start, connection: Connection) -> None:
    master = start()
    master.idle(0)
    eventually(lambda: is_idle(connection))
    host = master.crew.board.host

    for part in ("lease", "chores", "listen"):
        cut(connection, f"taskd {part}")
    master.crew.take_wakeups()
    add_jobs(connection)

    assert eventually(master.crew.take_wakeups) == [0]
    assert living_hosts(connection) == [host]


def test_a_host_that_lost_its_lease_publishes_its_tasks_once_more(
    start: Start, connection: Connection
) -> None:
    master = start()
    old = master.crew.board.host
    master.tell("tasks", pool="io", tasks=[{"name": "shop.sync"}])
    eventually(lambda: hosts.list_tasks(connection))

    def is_ended() -> bool:
        hosts.rescue_host(connection, old, None, "so it seemed", True)  # skips a row in use
        return old not in [host.id for host in hosts.list_hosts(connection)]

    eventually(is_ended)
    eventually(lambda: master.crew.board.host != old)

    assert eventually(lambda: hosts.list_tasks(connection))


def test_told_to_stop_while_it_opens_the_database_it_leaves_no_living_host(
    dsn: str, connection: Connection
) -> None:
    master = Master(Settings(database=dsn, pools=POOLS))
    master.tell("stop")

    master.start()
    status = master.stop()

    assert status == 0
    assert living_hosts(connection) == []


def test_the_beat_on_the_board_goes_on_without_a_database() -> None:
    master = Master(Settings(database="host=/nowhere-at-all dbname=shop", pools=POOLS)).start()

    first = eventually(lambda: master.crew.board.maintenance_beat)
    error = master.hear("waiting")["error"]
    eventually(lambda: master.crew.board.maintenance_beat > first)

    assert "/nowhere-at-all" in error
    assert master.stop() == 0


def test_it_stops_in_good_order_while_the_database_is_away(
    start: Start, server: TestServer, dsn: str
) -> None:
    master = start()
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]

    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        eventually(lambda: any("lost the database" in story for story in master.crew.stories()))
        status = master.stop()
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true".encode())

    assert status == 0
    assert "could not say goodbye" in master.crew.stories()[-1]


def test_a_database_that_refuses_ends_it_with_a_reason(dsn: str) -> None:
    missing = psycopg.conninfo.make_conninfo(dsn, dbname="no_such_one")
    master = Master(Settings(database=missing, pools=POOLS)).start()

    error = master.hear("fatal")["error"]
    master.thread.join(20)
    master.close()

    assert "does not exist" in error
    assert master.status == 1


def test_an_order_that_it_does_not_know_is_told_and_left(start: Start) -> None:
    master = start()

    master.tell("dance")

    eventually(lambda: "maintenance does not know the order 'dance'" in master.crew.stories())


CHILD = """
import json, socket, sys
told = json.loads(sys.argv[1])
if told["patched"]:
    from gevent import monkey
    monkey.patch_all()
from taskd.board import Board, Wakeups
from taskd.config.settings import Settings
from taskd.logs import LogWriter
from taskd.maintenance.process import Setup, run_maintenance
status = run_maintenance(Setup(
    settings=Settings.from_json(told["settings"]),
    board=Board.attach(told["board"]),
    wakeups=Wakeups(told["wakeups"]),
    control=socket.socket(fileno=told["control"]),
    kick_fd=told["kick"],
    incarnation=told["incarnation"],
))
rare = {"difflib", "taskd.tasks.stalls"}
heavy = {"gevent", "yaml", "pydantic", "click", *rare} & set(sys.modules)
sys.exit(status or (0 if told["patched"] or not heavy else 77))
"""


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_as_a_process_it_lives_through_signals_and_ends_when_told(
    debian_server: Any, patched: bool, tmp_path: Path
) -> None:
    name = debian_server.create()
    log = tmp_path / "log"
    settings = Settings(
        database=debian_server.of(name), pools=POOLS, log=LogSettings(file=str(log))
    )
    master = Master(settings)
    end = master._end
    told = {
        "patched": patched,
        "settings": settings.to_json(),
        "board": master.crew.board.fd,
        "wakeups": master.crew.wakeups.fds,
        "control": end.fileno(),
        "kick": master.kick_fd,
        "incarnation": str(master.incarnation),
    }
    fds = [master.crew.board.fd, *master.crew.wakeups.fds, end.fileno(), master.kick_fd]
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(told)], pass_fds=fds)
    end.close()
    try:
        master.hear("ready")
        log.rename(tmp_path / "rotated")
        for number in ("TERM", "INT", "HUP", "USR1", "USR2"):
            child.send_signal(signal.Signals[f"SIG{number}"])
        eventually(log.exists)
        with psycopg.connect(settings.database or "", autocommit=True) as connection:
            master.idle(0)
            eventually(lambda: is_idle(connection))  # type: ignore[arg-type]
            master.crew.slots[0].words[IDLE] = 25
            add_jobs(connection)
            assert eventually(master.crew.take_wakeups) == [0]
        title = Path(f"/proc/{child.pid}/cmdline").read_text().strip("\0")
        master.tell("stop")
        assert child.wait(20) == 0
        assert title == "taskd: maintenance"
    finally:
        child.kill()
        child.wait()
        master.socket.close()
        debian_server.drop(name)
