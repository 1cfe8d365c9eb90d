from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SECONDS = float(os.environ.get("TASKD_STRESS_SECONDS", "8"))


@pytest.mark.one_server
@pytest.mark.timeout(SECONDS + 240)
def test_many_processes_some_of_them_killed_overtake_and_lose_nothing(dsn: str) -> None:
    command = [sys.executable, "-m", "tests.store.stress.run", dsn, str(SECONDS)]

    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    print(summary)
    assert summary["faults"] == {}
    assert summary["kills"] > 0
    assert summary["grants"] > 100
