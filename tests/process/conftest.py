"""A user's project with a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.daemon import Project, open_project

SHOP = """
import os
import signal
import time
from pathlib import Path

from taskd import Cancel, Snooze, current_job, task


@task
def snooze(path):
    with open(path, "a") as file:
        print(current_job().attempt, file=file)
    if len(open(path).readlines()) < 3:
        raise Snooze(0.01)
    return "awake"


@task(retry=5)
def give_up(why):
    raise Cancel(why)


@task
def add(a, b):
    return a + b


@task
def nap(seconds):
    time.sleep(seconds)


@task
def fail(text):
    raise ValueError(text)


@task
def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


@task
def mark(path, seconds=0.0):
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {time.time()}\\n")
    time.sleep(seconds)
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {time.time()}\\n")


@task(queue="cpu")
def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getpid()


def plain(text):
    return text.upper()


@task
def leave(status):
    raise SystemExit(status)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


@task
def raise_unprintable():
    raise Unprintable


@task
def not_json():
    return {1, 2}


@task(timeout=0.2)
def slow():
    time.sleep(30)
"""


@pytest.fixture
def project(tmp_path: Path, dsn: str) -> Iterator[Project]:
    """A project with the module `shop` and one greenlet pool of 2 x 25."""
    for opened in open_project(tmp_path, dsn):
        opened.write("shop.py", SHOP)
        yield opened
