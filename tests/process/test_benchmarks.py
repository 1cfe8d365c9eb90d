"""The benchmarks beside the peers, in their small form: it measures, and fails nothing by time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest


@pytest.mark.one_server
@pytest.mark.timeout(300)
def test_small_benchmarks_measure_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.contest", "--small", "--json", str(figures)]

    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as small:
        try:
            said, errors = small.communicate()
        finally:
            small.terminate()  # at the end of the test's time: it ends all that it has started

    assert small.returncode == 0, errors
    rows = json.loads(figures.read_text())["rows"]
    ours = {row["measure"]: row for row in rows if row["system"] == "taskd"}
    assert [row["failures"] for row in rows if row["failures"]] == []
    assert all(row["median"] > 0 for row in ours.values())
    assert ours["drain, 2 workers"]["to_limit"] > 0
    assert "÷ limit" in said
