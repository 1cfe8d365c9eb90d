"""Where what a task leaves behind was allocated, seen by the real tracemalloc."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.pool.canary.lines import Lines
from taskd.pool.canary.pieces import FRAMES, pieces
from taskd.pool.canary.survivors import Survivors
from tests.unit.tasks_project import user_code

SHOP = """\
import json
from taskd import task

kept = []
busy = {}

def parse(n):
    return json.loads(json.dumps([[k] * 40 for k in range(n)]))

@task
def sync(n):
    kept.append(parse(n))

@task
def hold(n):
    busy[0] = [bytes(500_000) for _ in range(n)]

def late(n):
    kept.append(bytes(1)); kept.append(bytes(9_000))
    kept.append(bytes(2000))

def plain(n):
    kept.append(bytes(1000))
"""


@pytest.fixture(autouse=True)
def tracing() -> Iterator[None]:
    tracemalloc.start(FRAMES)
    yield
    tracemalloc.stop()


def test_the_line_is_the_innermost_of_the_users_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with user_code(tmp_path, monkeypatch) as code:
        shop = code.module("leaky_shop", SHOP)
        lines = Lines(("leaky_shop",))
        jobs = Survivors()

        for holds in (3, 1, 4):  # what a job holds for a while comes and goes
            for _ in range(20):
                jobs.begin("leaky_shop.sync").call(shop.sync.function, 10)
                shop.plain(1)
            if holds == 4:  # it has not run before
                shop.late(1)
            shop.hold.function(holds)
            assert lines.find(["leaky_shop.sync"]) == {}
            lines.look(jobs.look(pieces()))
        found = lines.find([f"leaky_shop.{name}" for name in ("sync", "hold", "plain", "gone")])

    assert lines.find(["leaky_shop.late"]) == {}
    assert found == {"leaky_shop.sync": "leaky_shop.py:8", "leaky_shop.plain": "leaky_shop.py:23"}
