"""The benchmarks beside the peers, in their small form: it measures, and fails nothing by time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.one_server
def test_small_benchmarks_measure_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.contest", "--small", "--json", str(figures)]

    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert ran.returncode == 0, ran.stderr
    rows = json.loads(figures.read_text())["rows"]
    ours = {row["measure"]: row for row in rows if row["system"] == "taskd"}
    assert [row["failures"] for row in rows if row["failures"]] == []
    assert all(row["median"] > 0 for row in ours.values())
    assert ours["drain, 2 workers"]["to_limit"] > 0
    assert "÷ limit" in ran.stdout
