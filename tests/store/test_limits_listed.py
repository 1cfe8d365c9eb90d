"""Limits that hosts declare are listed with the queues."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.store.connect import Connection
from taskd.store.limits import Limit, declare_limits
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_host, add_jobs

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_queues_are_listed_with_their_limits_also_while_they_are_empty(
    dsn: str, connection: Connection
) -> None:
    add_jobs(connection, 2, queue="mail")
    limits = {"@queue sync": Limit(20, 100 / 60, 5), "@key stripe": Limit(None, 10.0, 1)}
    declare_limits(connection, add_host(connection), limits)

    queues = taskd_json("--database", dsn, "queues", "--json")
    table = run_taskd("--database", dsn, "queues").stdout.splitlines()

    shown = [[queue[key] for key in ("name", "concurrency", "rate", "burst")] for queue in queues]
    assert shown == [["mail", None, None, None], ["sync", 20, 100 / 60, 5]]
    assert "LIMIT" in table[0]
    assert "20 at once, 100/m, bursts of 5" in table[2]
