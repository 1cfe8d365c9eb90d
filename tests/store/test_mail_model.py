"""Random interleavings of all that can happen to jobs do what a simple model says.

They hold the guarantees of docs/design/storage.md: a job is in exactly one table, no stale fence
counts, a final state is final, order is causal; and of resources: first come, first granted, an
exclusive holder is alone, nobody waits for nothing, nothing is left held. `make model` is the long
form; TASKD_MODEL_SEED repeats one run of it.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.store.mail_machine import run_machine

EXAMPLES = int(os.environ.get("TASKD_MODEL_EXAMPLES", "0"))


@pytest.mark.one_server
@pytest.mark.timeout(0 if EXAMPLES else 600)
def test_every_interleaving_does_what_the_model_does(dsn: str) -> None:
    seed = int(os.environ.get("TASKD_MODEL_SEED", random.SystemRandom().randrange(10**9)))
    number = seed if EXAMPLES else 1
    print(f"TASKD_MODEL_SEED={number}")

    steps = run_machine(dsn, EXAMPLES or 225, number)

    print(f"{steps.total()} steps: {dict(steps)}")
    assert EXAMPLES or steps.total() >= 10_000
