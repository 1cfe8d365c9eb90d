"""Running the command `taskd` in this process, as a shell would with a clean environment."""

from __future__ import annotations

import json
import os
from typing import Any

from click.testing import CliRunner, Result

from taskd.cli.root import taskd


def run_taskd(*words: str, stdin: str | None = None, **variables: str) -> Result:
    """What `taskd words…` does; of the TASKD_ variables it sees those given here alone."""
    hidden = {
        name: None for name in os.environ if name.startswith("TASKD_") and "KEEPER" not in name
    }
    return CliRunner().invoke(taskd, words, input=stdin, env={**hidden, **variables})


def taskd_json(*words: str, **variables: str) -> Any:
    """The JSON that a command which must succeed prints."""
    result = run_taskd(*words, **variables)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
