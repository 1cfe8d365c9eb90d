"""Configuration files for tests: written, loaded, and their faults as the lines a user reads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import taskd
from taskd.config.load import load_settings
from taskd.config.settings import Settings
from taskd.errors import ConfigurationInvalid

NOTHING: Mapping[str, str] = {"HOME": "/home/nobody"}


class Folder:
    """An empty working directory with one configuration file in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str | bytes) -> None:
        content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        (self.path / "taskd.yaml").write_bytes(content)

    def load(
        self,
        text: str | bytes,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        self.write(text)
        return load_settings("taskd.yaml", flags or {}, {**NOTHING, **(environ or {})})

    def faults(
        self,
        text: str | bytes,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The lines of the refusal, in their order."""
        with pytest.raises(ConfigurationInvalid) as caught:
            self.load(text, flags, environ)
        assert str(caught.value).split("\n") == [str(fault) for fault in caught.value.faults]
        return [str(fault) for fault in caught.value.faults]

    def fault(
        self,
        text: str | bytes,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """The one line of the refusal."""
        faults = self.faults(text, flags, environ)
        assert len(faults) == 1, faults
        return faults[0]


def run_python(program: str) -> str:
    """Run a program in an interpreter of its own; returns what it printed."""
    environ = {**os.environ, "PYTHONPATH": str(Path(taskd.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environ
    ).stdout
