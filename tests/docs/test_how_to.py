"""The examples of the how-to pages do what the pages say, on a real daemon."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import taskd
from taskd.config.settings import PoolSettings, Settings
from taskd.errors import JobFailed
from taskd.tasks.registry import registry
from tests.conftest import TestServer
from tests.docs.pages import HOW_TO, Page, check_block
from tests.process.daemon import Project
from tests.unit.configuration import Folder

PAGES = {"flows.md": 3, "unique.md": 1}
"""Pages, and how many values their lines promise."""
MODULES = {**Page.read("flows.md").modules, **Page.read("unique.md").modules}
MODULES |= Page.read("exactly-once.md").modules
MODULES |= Page.read("logs-and-progress.md").modules
MODULES |= Page.read("time-limits.md").modules


@pytest.fixture(scope="module")
def project(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A daemon that runs the modules of all pages."""
    folder = tmp_path_factory.mktemp("pages")
    name = embedded_server.create()
    project = Project(folder, embedded_server.of(name))
    for module, text in MODULES.items():
        project.write(f"{module}.py", text)
    imports = ", ".join(MODULES)
    project.write("taskd.yaml", f"imports: [{imports}]\npools: {{io: {{greenlets: 10}}}}\n")
    project.start()
    yield project
    project.close()
    embedded_server.drop(name)


@pytest.fixture
def names(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """What a reader has imported who has the modules of the pages."""
    tasks = dict(registry._tasks)
    monkeypatch.syspath_prepend(str(project.folder))
    taskd.configure(database=project.dsn)
    found: dict[str, object] = {name: getattr(taskd, name) for name in taskd.__all__}
    for module in MODULES:
        found |= vars(importlib.import_module(module))
    yield found
    taskd.configure()
    for module in MODULES:
        del sys.modules[module]
    registry._tasks.clear()
    registry._tasks.update(tasks)


@pytest.mark.parametrize("page", PAGES)
def test_the_lines_of_a_page_have_the_values_they_tell(
    page: str, names: dict[str, object]
) -> None:
    checked = sum(check_block(block, names) for block in Page.read(page).blocks)

    assert checked == PAGES[page]


def test_what_the_page_books_is_booked_once(project: Project, names: dict[str, object]) -> None:
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE bookings (order_id bigint)")
        book = names["book"]

        result = book.enqueue(7).result(timeout=20)  # type: ignore[attr-defined]

        assert result == {"booked": 7}
        assert connection.execute("SELECT order_id FROM bookings").fetchall() == [(7,)]


def test_the_log_and_the_progress_of_a_job_are_shown_as_the_page_tells(project: Project) -> None:
    job = project.taskd("enqueue", "billing.bill", "[30]").stdout.strip()

    followed = project.taskd("jobs", "logs", job, "--follow")
    shown = project.taskd("jobs", "show", job)

    lines = followed.stdout.splitlines()
    assert followed.returncode == 0, followed.stderr
    assert [line.partition(" billing: ")[2] for line in lines] == [
        f"order {number} is billed" for number in range(1, 31)
    ]
    assert "progress:   100 %, 30 of 30" in shown.stdout


def test_a_job_over_its_time_fails_and_cleans_up_as_the_page_tells(
    project: Project, names: dict[str, object], tmp_path: Path
) -> None:
    late = names["tidy"].enqueue(str(tmp_path / "tidy"))  # type: ignore[attr-defined]

    with pytest.raises(JobFailed, match="JobTimeout: still running after its timeout"):
        late.result(timeout=20)

    assert (tmp_path / "tidy").exists()


def test_the_settings_of_the_page_on_time_limits_are_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(
        r"```yaml\n(.*?)```", (HOW_TO / "time-limits.md").read_text("utf-8"), re.DOTALL
    )

    loaded = Folder(tmp_path).load(text)

    usual, io = PoolSettings(), loaded.pools["io"]
    for name in ("kill_grace", "hub_warn", "hub_break", "hub_kill"):
        assert getattr(io, name) == getattr(usual, name)
    assert (loaded.max_crashes, loaded.max_losses) == (Settings().max_crashes, Settings().max_losses)
