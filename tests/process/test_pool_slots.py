"""The slots by themselves, in a process of their own: a hub is not for the test's."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

BEGIN = """
import json

import gevent

from taskd.board import Board, Seating
from taskd.pool.slots import Slots

slot = Board.create(slots=1, lanes=1).slot(0)
ended, failed = [], []


class Runner:
    def run(self, seat, row):
        return run(row[0])

    def fail(self, row, fault):
        failed.append([row[0], type(fault).__name__])


def settle(slots):
    while slots.busy or slots.waiting:
        gevent.sleep(0.001)
"""


def run_script(script: str) -> object:
    """What a script with the imports and names of BEGIN prints, as JSON."""
    code = textwrap.dedent(BEGIN) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_slot_outlives_whatever_a_job_lets_through() -> None:
    told = run_script("""
        def run(job):
            if job < 6:
                raise (SystemExit, KeyboardInterrupt, gevent.GreenletExit)[job % 3]
            ended.append(job)
            return 0.0

        slots = Slots(slot, Seating.create(2), Runner())
        slots.start()
        slots.feed([[n] for n in range(12)])
        with gevent.Timeout(5):
            settle(slots)
        print(json.dumps([ended, failed, slots.busy]))
        """)

    assert told == [
        [6, 7, 8, 9, 10, 11],
        [
            [0, "SystemExit"],
            [1, "KeyboardInterrupt"],
            [2, "GreenletExit"],
            [3, "SystemExit"],
            [4, "KeyboardInterrupt"],
            [5, "GreenletExit"],
        ],
        0,
    ]


def test_a_slot_is_busy_while_jobs_run_there_and_free_while_it_lets_others_have_the_hub() -> None:
    told = run_script("""
        from time import perf_counter
        from taskd.board.layout import IN_FLIGHT

        seen = []

        def run(job):
            seen.append((slots.busy, slot.words[IN_FLIGHT]))
            slots.seats[0].started = perf_counter()
            while perf_counter() < slots.seats[0].started + 0.006:
                pass
            return perf_counter()

        def look():
            while True:
                others.append((slots.busy, slot.words[IN_FLIGHT]))
                gevent.sleep(0)

        others = []
        slots = Slots(slot, Seating.create(1), Runner())
        slots.start()
        slots.feed([[n] for n in range(3)])
        looking = gevent.spawn(look)
        with gevent.Timeout(5):
            settle(slots)
        looking.kill()
        print(json.dumps([sorted(set(seen)), sorted(set(others))]))
        """)

    assert told == [[[1, 1]], [[0, 0]]]
