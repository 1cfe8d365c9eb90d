from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskd.config.plugins import without_plugins

BUILD_OURS_AND_THEIRS = """
from pydantic import BaseModel

from taskd.config.plugins import without_plugins

with without_plugins():
    type("Ours", (BaseModel,), {})
print("ours")
type("Theirs", (BaseModel,), {})
"""

PLUGIN = """
print("heard")


class It:
    @staticmethod
    def new_schema_validator(*args, **kwargs):
        return None, None, None
"""


def test_no_plugin_is_looked_for_meanwhile_and_those_of_others_are_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    plugin = tmp_path / "plugin-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Name: plugin\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[pydantic]\nx = heard:It\n")
    (tmp_path / "heard.py").write_text(PLUGIN)

    said = subprocess.run(
        [sys.executable, "-c", BUILD_OURS_AND_THEIRS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.stdout, said.stderr) == ("ours\nheard\n", "")


def test_what_the_users_have_chosen_stands_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "logfire")

    with without_plugins():
        pass

    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == "logfire"
