"""The master's parts, each by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest

from taskd.board import Board
from taskd.clock import monotonic, monotonic_ns
from taskd.config.sections import PoolSettings
from taskd.config.settings import Origin, Settings
from taskd.events import Event, Events
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Talker, how_it_ended
from taskd.supervisor.events import MaintenanceHangs
from taskd.supervisor.herald import describe_pools, next_steps
from taskd.supervisor.incarnation import Incarnation
from taskd.supervisor.pidfile import PidFile, PidFileTaken, PidFileUnusable
from taskd.supervisor.steward import Steward
from tests.waiting import eventually


def other_end(channel: Channel) -> int:
    """The child's end, as only the child has it."""
    fd = os.dup(channel.child_fd)
    channel.handed_over()
    return fd


# -- channel --------------------------------------------------------------------------------------


def test_what_nobody_reads_waits_and_keeps_its_order() -> None:
    channel = Channel()
    reader = other_end(channel)

    for number in range(2000):
        channel.send("note", number=number, padding="x" * 1000)
    seen: list[bytes] = []
    while len(seen) < 2000:
        seen.append(os.read(reader, 1 << 20))
        channel.flush()

    assert [int(line.split(b'"number": ')[1].split(b",")[0]) for line in seen] == list(range(2000))
    os.close(reader)
    channel.close()


def test_the_last_words_of_one_who_left_orders_unread_are_heard() -> None:
    channel = Channel()
    child = other_end(channel)
    channel.send("order")

    os.write(child, b'{"op": "fatal"}')
    os.close(child)

    assert channel.receive() == [{"op": "fatal"}]
    assert channel.is_closed


def test_the_last_words_are_heard_also_after_a_message_that_found_nobody() -> None:
    channel = Channel()
    child = other_end(channel)
    os.write(child, b'{"op": "fatal"}')
    os.close(child)

    channel.send("order")

    assert channel.receive() == [{"op": "fatal"}]


def test_whoever_is_let_go_can_still_announce_a_child() -> None:
    channel = Channel()
    child = other_end(channel)

    channel.finish()

    assert os.read(child, 10) == b""
    os.write(child, b'{"op": "forked"}')
    assert channel.receive() == [{"op": "forked"}]
    assert not channel.is_closed
    os.close(child)
    assert channel.receive() == []
    assert channel.is_closed


def test_what_is_said_to_nobody_keeps_no_descriptor_open() -> None:
    channel, other = Channel(), Channel()
    os.close(other_end(channel))
    channel.send("fork", fds=[other.child_fd])
    channel.receive()

    channel.send("fork", fds=[other.child_fd])
    other.handed_over()

    assert other.receive() == []
    assert other.is_closed


def test_ending_a_conversation_twice_is_harmless() -> None:
    channel = Channel()

    channel.close()
    channel.close()
    channel.finish()

    assert channel.receive() == []


# -- incarnation ----------------------------------------------------------------------------------


def test_a_living_incarnation_is_not_dead(tmp_path: Path) -> None:
    first, second = Incarnation(str(tmp_path)), Incarnation(str(tmp_path))

    assert first.dead() == []
    assert second.dead() == []


HOLDER = """
import os, signal, sys
from taskd.supervisor.incarnation import Incarnation
own = Incarnation(sys.argv[1])
if os.fork() == 0:
    os.close(own._master_fd)
    print(own.id, os.getpid(), flush=True)
    signal.pause()
os.wait()
"""


def test_an_incarnation_is_named_by_a_random_uuid(tmp_path: Path) -> None:
    first, second = Incarnation(str(tmp_path)), Incarnation(str(tmp_path))

    assert UUID(first.id).version == 4
    assert UUID(first.id).variant == RFC_4122
    assert str(UUID(first.id)) == first.id
    assert first.id != second.id


def test_what_is_left_of_a_killed_incarnation_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        dead, survivor = holder.stdout.readline().split()
        own = Incarnation(str(tmp_path))
        assert own.dead() == []
        holder.kill()
    assert own.dead() == [dead]
    os.kill(int(survivor), 0)

    eventually(lambda: own.end_survivors(dead))

    own.forget(dead)
    assert own.dead() == []
    assert {path.stem for path in (tmp_path / "run").iterdir()} == {own.id}


# -- pid file -------------------------------------------------------------------------------------


def test_a_pid_file_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "taskd.pid")

    with pytest.raises(PidFileUnusable, match=f"{path} cannot be written: No such file.*--pid-f"):
        PidFile(path).take()


def test_a_pid_file_is_held_until_it_is_released(tmp_path: Path) -> None:
    path = str(tmp_path / "pid")
    first, second = PidFile(path), PidFile(path)
    first.take()

    with pytest.raises(PidFileTaken, match=f"pid {os.getpid()}"):
        second.take()

    first.release()
    first.release()
    second.take()
    second.release()
    assert not (tmp_path / "pid").exists()


def test_a_pid_file_left_by_a_killed_daemon_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("4194304 and more\n")
    pid_file = PidFile(str(path))

    pid_file.take()

    assert path.read_text() == f"{os.getpid()}\n"
    pid_file.release()


def test_a_pid_file_that_is_another_daemons_by_now_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pid_file = PidFile(str(path))
    pid_file.take()
    path.unlink()
    path.write_text("1\n")

    pid_file.release()

    assert path.read_text() == "1\n"


# -- steward --------------------------------------------------------------------------------------


class Maintained:
    """A steward over a process that sleeps, whose beat the test writes."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        events = Events()
        events.subscribe(self.told.append)
        self.board = Board.create(4, 4)
        self.steward = Steward(Settings(database="unused"), self.board, "incarnation", events)
        self.process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        self.channel = Channel()
        self.steward.process = Talker(channel=self.channel, pid=self.process.pid)

    def beat(self, seconds_ago: float) -> None:
        self.board.maintenance_beat = monotonic_ns() - int(seconds_ago * 1e9)

    def close(self) -> None:
        self.channel.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def maintained() -> Maintained:
    return Maintained()


def test_maintenance_without_a_beat_is_killed_once(maintained: Maintained) -> None:
    maintained.beat(seconds_ago=4.0)
    maintained.steward.watch()
    assert maintained.told == []

    maintained.beat(seconds_ago=6.0)
    maintained.steward.watch()
    maintained.steward.watch()

    assert [type(event) for event in maintained.told] == [MaintenanceHangs]
    assert maintained.process.wait(10) == -9
    maintained.close()


def test_maintenance_is_excused_when_the_master_itself_stood_still(maintained: Maintained) -> None:
    maintained.beat(seconds_ago=60.0)

    maintained.steward.excuse()
    maintained.steward.watch()

    assert maintained.told == []
    maintained.close()


def test_lists_are_told_in_messages_that_fit(maintained: Maintained) -> None:
    reader = other_end(maintained.channel)
    tasks = [{"task": f"shop.{number}", "doc": "x" * 10_000} for number in range(20)]

    maintained.steward.tell_tasks("io", tasks)

    messages = [os.read(reader, 1 << 20)]
    while b'"more": true' in messages[-1]:
        messages.append(os.read(reader, 1 << 20))
    assert len(messages) == 4
    assert max(map(len, messages)) < 64_000
    os.close(reader)
    maintained.close()


# -- words ----------------------------------------------------------------------------------------


def test_the_greeting_names_the_pools() -> None:
    pools = {
        "io": PoolSettings(processes=4, greenlets=25, queues=("sync", "mail")),
        "mixed": PoolSettings(greenlets=1, queues={"sync": 5, "mail": 1}),
        "cpu": PoolSettings(processes=1),
    }

    assert list(describe_pools(Settings(pools=pools))) == [
        "pool io: 4 processes of 25 greenlets each, queues sync, mail",
        "pool mixed: 1 process of 1 greenlet each, queues sync=5, mail=1",
        "pool cpu: 1 process of one job each, all queues",
    ]


def test_who_has_a_configuration_needs_no_next_steps() -> None:
    with_file = Settings(origin=Origin(config="/etc/taskd.yaml"))

    assert next_steps(with_file) is None
    assert "--imports" in str(next_steps(Settings()))
    assert "taskd enqueue shop.FUNCTION" in str(next_steps(Settings(imports=("shop",))))


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exited with status 0"), (256, "exited with status 1"), (9, "killed by SIGKILL")],
)
def test_an_exit_status_is_told_in_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words


def test_the_clock_of_children_is_the_masters() -> None:
    talker = Talker(channel=Channel(), started_at=monotonic() - 10)

    assert 10 <= talker.lived < 20
    assert talker.stable == 0.0
    talker.is_ready = True
    assert talker.stable >= 10
    talker.channel.close()
