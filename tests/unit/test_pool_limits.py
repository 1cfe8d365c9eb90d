from __future__ import annotations

from taskd.config.settings import PoolSettings, QueueSettings, Settings
from taskd.pool.limits import TimeLimits
from taskd.tasks.options import Defaults
from taskd.tasks.task import Task

SETTINGS = Settings(
    pools={"io": PoolSettings(greenlets=5, timeout=30.0), "free": PoolSettings()},
    queues={"slow": QueueSettings(timeout=600.0), "plain": QueueSettings()},
)


def quick() -> None:
    """Does nothing."""


QUICK: Task[..., object] = Task(quick, "quick", Defaults(timeout=2.0))


def limit(task: str, queue: str, pool: str = "io") -> float | None:
    return TimeLimits(SETTINGS, pool, {"quick": QUICK}.get).of(task, queue)


def test_a_tasks_own_timeout_goes_before_its_queues() -> None:
    assert limit("quick", "slow") == 2.0


def test_a_queues_timeout_goes_before_the_pools() -> None:
    assert limit("other", "slow") == 600.0


def test_the_pools_timeout_holds_where_nobody_else_names_one() -> None:
    assert limit("other", "plain") == limit("other", "unknown") == 30.0


def test_without_any_timeout_there_is_no_limit() -> None:
    assert limit("other", "plain", pool="free") is None


def test_a_task_that_is_imported_later_gets_its_own_timeout_then() -> None:
    known: dict[str, Task[..., object]] = {}
    limits = TimeLimits(SETTINGS, "io", known.get)
    before = limits.of("quick", "plain")

    known["quick"] = QUICK

    assert (before, limits.of("quick", "plain")) == (30.0, 2.0)
