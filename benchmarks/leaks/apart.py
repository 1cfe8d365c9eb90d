"""A run of a load in a process of its own: what one leaves behind is not the next one's."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run(load: str, seed: int, leak: int, jobs: int) -> dict[str, Any]:
    """One run, in a process of its own."""
    print(f"{load}, seed {seed}, {leak} bytes …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.leaks.load", load, str(seed), str(leak), str(jobs)]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, text=True))
    return found
