"""What grows in a worker, asked from afar, in both kinds of pool."""

from __future__ import annotations

import json

import pytest

from tests.process.daemon import Project
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io: {queues: [default], greenlets: 5, shutdown_timeout: 500ms, kill_grace: 500ms}
  cpu: {queues: [cpu], shutdown_timeout: 500ms, kill_grace: 500ms}
"""
SHOP = """
import time


class Basket:
    pass


SEEN = [Basket() for _ in range(200)]


def leak(path):
    open(path, "w").close()
    while True:
        SEEN.append(Basket())
        time.sleep(0.005)
"""


@pytest.fixture
def leaking(project: Project) -> Project:
    project.write("taskd.yaml", CONFIG)
    project.write("shop.py", SHOP)
    project.start()
    marks = [project.folder / "io", project.folder / "cpu"]
    project.enqueue_many("shop.leak", [(str(marks[0]),)])
    project.enqueue_many("shop.leak", [(str(marks[1]),)], "cpu")
    for mark in marks:
        eventually(mark.exists)
    return project


def test_the_type_and_the_list_that_grow_are_told_of_both_kinds(leaking: Project) -> None:
    for pool in ("io", "cpu"):
        told = json.loads(leaking.taskd("heap", pool, "--seconds", "1s", "--json").stdout)

        (found,) = told
        assert found["note"] == ""
        assert "shop.Basket" in [one["type"] for one in found["types"]]
        assert "shop.SEEN" in [one["name"] for one in found["containers"]]
        assert found["longest_stop"] < 0.1

    shown = leaking.taskd("heap", "io/0", "--seconds", "500ms")
    assert "shop.SEEN" in shown.stdout
    assert leaking.taskd("heap", "nobody").returncode == 1
