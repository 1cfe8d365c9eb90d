"""What there is before workers are forked, and what there is not: all of them share it."""

from __future__ import annotations

import pytest

from taskd.store import connect
from tests.unit.configuration import run_python

MAKE_A_HUB = """
from taskd.pool import seed
seed.patch()
import gevent
from taskd.pool import preflight, waiting

def known():
    return [name for name, one in gevent.config.settings.items() if "value" in vars(one)]

waiting.read_settings()
print(preflight.has_hub())
before = known()
gevent.spawn(gevent.sleep, 0.001).join()
print(*(set(known()) - set(before)))
"""


def test_workers_do_without_what_few_of_them_need() -> None:
    loaded = run_python("import sys, taskd.pool.worker, taskd.pool.process; print(*sys.modules)")

    assert not {"taskd.pool.canary", "tracemalloc", "statistics", "difflib"} & set(loaded.split())


def test_a_first_hub_finds_its_settings_read_and_is_not_made_by_that() -> None:
    assert run_python(MAKE_A_HUB).split() == ["False"]


def test_no_variable_for_libpq_hinders_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOST", "a,b"), ("HOSTADDR", "10.0.0.1,10.0.0.2"), ("PORT", "1,2,3")):
        monkeypatch.setenv(f"PG{name}", value)

    connect.learn_parameters()
