"""The tasks that the benchmarks run."""

import time

from taskd import task


@task(queue="bench")
def noop(number: int) -> None:
    """Nothing: what remains is the cost of the daemon."""


@task(queue="bench")
def nap(seconds: float) -> None:
    """IO, as far as the daemon can tell."""
    time.sleep(seconds)
