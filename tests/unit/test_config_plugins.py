from __future__ import annotations

import os

import pytest
from pydantic import BaseModel
from pydantic.plugin import _loader

from taskd.config.plugins import without_plugins


def test_no_plugin_is_looked_for_meanwhile_and_those_of_others_are_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    looked_for: list[str] = []
    monkeypatch.setattr(_loader, "_plugins", None)
    monkeypatch.setattr(_loader, "entry_points", lambda group: looked_for.append(group) or [])

    with without_plugins():
        type("Ours", (BaseModel,), {})
    before = list(looked_for)
    type("Theirs", (BaseModel,), {})

    assert (before, looked_for) == ([], ["pydantic"])
    assert "PYDANTIC_DISABLE_PLUGINS" not in os.environ


def test_what_the_users_have_chosen_stands_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "logfire")

    with without_plugins():
        pass

    assert os.environ["PYDANTIC_DISABLE_PLUGINS"] == "logfire"
