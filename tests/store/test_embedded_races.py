"""Many processes that want the embedded server at the same moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.store.homes import REPOSITORY, Home, made_home, query
from tests.waiting import eventually

USER = """
import sys
from taskd.store.embedded import ensure_server, hold
with hold(sys.argv[1]):
    print("there", flush=True)
    sys.stdin.readline()
    server = ensure_server(sys.argv[1])
    print(server.started, server.dsn, flush=True)
    sys.stdin.readline()
"""
THREADS = """
import sys, threading
{first}
from taskd.store.embedded import ensure_server, hold
found = []
with hold(sys.argv[1]):
    threads = [threading.Thread(target=lambda: found.append(ensure_server(sys.argv[1])))
               for _ in range(5)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(len(found), len({{server.dsn for server in found}}), sum(s.started for s in found))
"""


@pytest.fixture
def home() -> Iterator[Home]:
    with made_home() as home:
        yield home


class Users:
    """Processes that do everything together, on command."""

    def __init__(self, home: Home, number: int) -> None:
        command = [sys.executable, "-c", USER, str(home.path)]
        self._processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=REPOSITORY,
                text=True,
            )
            for _ in range(number)
        ]

    def go_on(self) -> None:
        """Give each the word."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def say(self) -> list[str]:
        """The next line of each."""
        lines = []
        for process in self._processes:
            assert process.stdout is not None
            lines.append(process.stdout.readline().strip())
        return lines

    def end(self) -> list[int]:
        """Let them end; their statuses."""
        self.go_on()
        for process in self._processes:
            process.communicate()
        return [process.returncode for process in self._processes]


def test_twenty_processes_at_once_get_one_server(home: Home) -> None:
    users = Users(home, 20)
    assert users.say() == ["there"] * 20

    users.go_on()
    answers = [line.split(" ", 1) for line in users.say()]

    assert [started for started, _ in answers].count("True") == 1
    assert len({dsn for _, dsn in answers}) == 1
    assert home.log().count("starting PostgreSQL") == 1
    assert users.end() == [0] * 20


def test_users_who_come_while_the_server_stops_get_a_new_one(home: Home) -> None:
    home.start()
    home.release()
    eventually(lambda: "nobody has used the server" in home.log())

    server = home.start()

    assert query(server, "SELECT 1") == 1


def test_comings_and_goings_never_meet_a_dead_server(home: Home) -> None:
    for _ in range(4):
        users = Users(home, 3)
        users.go_on()
        assert all("host=" in line for line in users.say() + users.say() if line != "there")
        assert users.end() == [0] * 3


@pytest.mark.parametrize("first", ["", "import gevent.monkey; gevent.monkey.patch_all()"])
def test_threads_and_greenlets_get_one_server(home: Home, first: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", THREADS.format(first=first), str(home.path)],
        cwd=REPOSITORY,
        text=True,
        capture_output=True,
    )

    assert found.stderr == ""
    assert found.stdout.split() == ["5", "1", "1"]
