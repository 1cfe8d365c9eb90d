"""The example of the page on memory does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import TestServer
from tests.docs.pages import HOW_TO, Page
from tests.process.daemon import Project

TEXT = (HOW_TO / "memory.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_a_worker_that_leaks_is_replaced_and_no_job_notices(
    embedded_server: TestServer, tmp_path: Path
) -> None:
    name = embedded_server.create()
    project = Project(tmp_path, embedded_server.of(name))
    (config,), (said,), (query,) = blocks("yaml"), blocks("text"), blocks("sql")
    project.write("taskd.yaml", config)
    project.write("catalog.py", Page.read("memory.md").modules["catalog"])
    try:
        daemon = project.start()
        project.enqueue_many("catalog.sync", [("s",)] * 300)
        project.wait_for_states(succeeded=300)

        pattern = re.escape(said.strip()).replace("105", r"\d+")
        assert re.search(pattern, daemon.log())
        assert project.query("SELECT DISTINCT attempt FROM taskd.history") == [(1,)]
        assert isinstance(project.query(query), list)
    finally:
        project.close()
        embedded_server.drop(name)


@pytest.mark.parametrize("config", blocks("yaml"))
def test_the_page_names_every_setting(config: str) -> None:
    from taskd.config.memory import MemorySettings

    assert set(re.findall(r"^ {6}(\w+):", config, re.MULTILINE)) == set(MemorySettings.__slots__)
