"""What the README's run command is tried on: a machine without PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_path_of_the_run_command_has_everything_but_postgresql(tmp_path: Path) -> None:
    command = [REPOSITORY / ".ci" / "path-without-postgres", tmp_path / "bin"]

    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def found(*names: str) -> list[str]:
        return [name for name in names if shutil.which(name, path=path)]

    assert found("postgres", "postmaster", "initdb", "pg_ctl", "pg_config", "psql") == []
    assert found("python3", "bash", "env") == ["python3", "bash", "env"]
