"""Random interleavings of all that can happen to jobs do what a simple model says.

They hold the guarantees of docs/design/storage.md: a job is in exactly one table, no stale fence
counts, a final state is final, order is causal; of deaths: who is charged, who fails, who runs
alone, and who pauses how long; of resources: first come, first granted, an exclusive holder is
alone, nobody waits for nothing, nothing is left held; and of limits: what is asked for in which
step, how many pass at once and how many in a time, whose turn it is.

`make model` is the long form, other steps each time; TASKD_MODEL_SEED repeats from the seed that
was printed last. The steps are in parts, which may run side by side.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.store.mail_machine import run_machine

STEPS = int(os.environ.get("TASKD_MODEL_STEPS", "10_000"))
SEED = int(os.environ.get("TASKD_MODEL_SEED", "1"))
EXAMPLES_A_SEED = 50
PARTS = 4


@pytest.mark.one_server
@pytest.mark.timeout(max(600, STEPS // 20))
@pytest.mark.parametrize("part", range(PARTS))
def test_every_interleaving_does_what_the_model_does(dsn: str, part: int) -> None:
    steps: Counter[str] = Counter()
    seed = SEED + 100_000 * part

    while steps.total() < STEPS / PARTS:
        print(f"TASKD_MODEL_SEED={seed}")
        steps += run_machine(dsn, EXAMPLES_A_SEED, seed)
        seed += 1

    print(f"{steps.total()} steps: {dict(steps)}")
