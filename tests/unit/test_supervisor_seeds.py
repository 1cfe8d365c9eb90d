"""Seeds: what becomes of one that hangs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from signal import SIGKILL

import pytest

from taskd.supervisor import seeds
from taskd.supervisor.inheritance import Inheritance
from tests.crew import Crew


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
