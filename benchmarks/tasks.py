"""The tasks that the benchmarks run."""

import time

from taskd import task


@task(queue="bench")
def noop(number: int) -> None:
    """Nothing: what remains is the cost of the daemon."""


@task(queue="bench")
def fail(number: int) -> None:
    """What ends with an error."""
    raise LookupError(f"no such customer: {number % 10}")


@task(queue="bench")
def nap(seconds: float) -> None:
    """IO, as far as the daemon can tell."""
    time.sleep(seconds)
