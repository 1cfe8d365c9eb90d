"""Seeds: the first one, and what becomes of one that hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGKILL

import pytest

from taskd.supervisor import seeds
from taskd.supervisor.channel import Channel
from taskd.supervisor.inheritance import FirstSeed, Inheritance
from tests.crew import Crew

BEGIN_WITHOUT_PROCESSES = """
import os
import sys

from taskd.config.settings import Settings
from taskd.supervisor.inheritance import begin


def refuse(*args, **kwargs):
    raise BlockingIOError("no process is left")


os.posix_spawn = refuse
print(begin(Settings(state_dir=sys.argv[1])).seed)
"""


@contextmanager
def eventfd() -> Iterator[int]:
    fd = os.eventfd(0)
    try:
        yield fd
    finally:
        os.close(fd)


def test_a_seed_that_is_not_ready_in_time_is_killed_and_the_log_says_why_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seeds, "PATIENCE_SECONDS", 0.0)
    crew = Crew()
    with eventfd() as kick_fd, eventfd() as tree_fd:
        inheritance = Inheritance(
            board=crew.board, wakeups=crew.wakeups, kick_fd=kick_fd, tree_fd=tree_fd
        )
        nursery = seeds.Seeds(inheritance, crew.host.events)
        for _ in range(3):
            nursery.tend({"process"})
        (seed,) = nursery
        with closing(seed.channel):
            _, status = os.waitpid(seed.pid, 0)

    assert os.waitstatus_to_exitcode(status) == -SIGKILL
    assert [str(event) for event in crew.told] == [
        f"seed process: pid {seed.pid} was not ready within 0 s, killing it: does the disk that "
        "Python and taskd are on answer?"
    ]


def test_beside_the_seed_that_was_spawned_first_no_other_of_its_kind_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spawned: list[str] = []
    monkeypatch.setattr(Inheritance, "spawn_seed", lambda self, kind, channel: spawned.append(kind))
    crew = Crew()
    inheritance = Inheritance(board=crew.board, wakeups=crew.wakeups, kick_fd=-1, tree_fd=-1)
    nursery = seeds.Seeds(inheritance, crew.host.events)
    with closing(Channel()) as channel:
        channel.handed_over()
        nursery.adopt(FirstSeed("greenlet", os.getpid(), channel))

        nursery.tend({"greenlet"})

        assert [seed.channel for seed in nursery] == [channel]
    assert spawned == []


def test_a_daemon_begins_although_its_first_seed_cannot_be_spawned(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", BEGIN_WITHOUT_PROCESSES, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.stdout, said.stderr) == ("None\n", "")
