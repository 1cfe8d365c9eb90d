"""The examples of the how-to pages do what the pages say, on a real daemon."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

import taskd
from taskd import Job
from taskd.config.settings import PoolSettings, Settings
from taskd.errors import JobFailed, JobWasCancelled, ResultExpired
from taskd.tasks.registry import registry
from tests.conftest import TestServer
from tests.docs.pages import HOW_TO, Page, check_block
from tests.process.daemon import Project
from tests.unit.configuration import Folder
from tests.waiting import eventually

PAGES = {
    "flows.md": 3,
    "unique.md": 1,
    "results.md": 2,
    "resources.md": 4,
    "steer-queues.md": 3,
    "cancel.md": 3,
    "retries.md": 2,
    "why-waiting.md": 3,
}
"""Pages, and how many values their lines promise."""
OTHERS = (
    "exactly-once.md",
    "failures.md",
    "logs-and-progress.md",
    "priorities.md",
    "time-limits.md",
    "transactions.md",
)
MODULES = {
    name: text for page in (*PAGES, *OTHERS) for name, text in Page.read(page).modules.items()
}


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
def test_the_lines_of_a_page_have_the_values_they_tell(page: str, names: dict[str, object]) -> None:
    checked = sum(check_block(block, names) for block in Page.read(page).blocks)

    assert checked == PAGES[page]


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


def test_a_job_that_is_late_is_cancelled_as_the_page_tells(names: dict[str, object]) -> None:
    (block,) = Page.read("time-limits.md").blocks
    check_block(block, names)
    late = names["late"]
    assert isinstance(late, Job)

    with pytest.raises(JobWasCancelled, match="expired: it was too late to begin"):
        late.result(timeout=20)


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
    assert (loaded.max_crashes, loaded.max_losses) == (
        Settings().max_crashes,
        Settings().max_losses,
    )


class Shell:
    """A reader who types the commands of a page, with the ids that they print.

    They stand for those that the comments beside them tell: 4711, 4712, …
    """

    def __init__(self, project: Project, page: str) -> None:
        self.project = project
        read = Page.read(page)
        self.commands = iter(zip(read.commands, read.comments, strict=True))
        self.ids: dict[str, str] = {}
        self.job = 0

    def type(self, *beginning: str) -> str:
        """Type the next command, which begins so and must succeed; what it printed."""
        (program, *words), comment = next(self.commands)
        assert (program, *words[: len(beginning)]) == ("taskd", *beginning)
        done = self.project.taskd(*(self.ids.get(word, word) for word in words))
        assert done.returncode == 0, done.stderr
        for told in re.findall(r"\b47\d\d\b", comment)[-1:]:
            printed = done.stdout.split()[-1]
            assert self.ids.setdefault(told, printed) == printed
        if words[0] == "enqueue":
            self.job = int(done.stdout)
        return done.stdout

    def wait_for(self, state: str) -> None:
        """Wait until the job is in this state."""
        eventually(lambda: Job(self.job).state == state, 20)

    def is_at_the_end(self) -> bool:
        return next(self.commands, None) is None


@pytest.fixture
def shell(project: Project, names: dict[str, object], request: pytest.FixtureRequest) -> Shell:
    """The page is the parameter of the test."""
    return Shell(project, request.param)


of_page = partial(pytest.mark.parametrize, "shell", indirect=True, ids=str)


@of_page(["exactly-once.md"])
def test_what_the_page_books_is_booked_once(
    shell: Shell, project: Project, names: dict[str, object]
) -> None:
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE bookings (order_id bigint)")
        book = names["book"]

        result = book.enqueue(7).result(timeout=20)  # type: ignore[attr-defined]
        count = names["book_all"].enqueue([8, 9]).result(timeout=20)  # type: ignore[attr-defined]
        shell.type("enqueue")
        shell.wait_for("succeeded")

        assert (result, count) == ({"booked": 7}, 3)
        assert '{"booked": 42}' in shell.type("jobs", "show")
        assert shell.is_at_the_end()
        booked = connection.execute("SELECT order_id FROM bookings ORDER BY 1").fetchall()
        assert booked == [(7,), (8,), (9,), (42,)]


@of_page(["results.md"])
def test_the_result_is_shown_as_the_page_tells(shell: Shell) -> None:
    shell.type("enqueue")
    shell.wait_for("succeeded")

    assert '{"to": 2, "be": 1}' in shell.type("jobs", "show")
    assert shell.is_at_the_end()


def test_a_result_that_is_too_large_fails_and_says_so(names: dict[str, object]) -> None:
    job = names["export"].enqueue(100_000)  # type: ignore[attr-defined]

    with pytest.raises(JobFailed, match="raise max_result"):
        job.result(timeout=20)


def test_a_result_that_has_gone_before_its_job_is_told_as_expired(
    project: Project, names: dict[str, object]
) -> None:
    job = names["count"].enqueue(["to"])  # type: ignore[attr-defined]
    assert job.result(timeout=20) == {"to": 1}

    project.query("DELETE FROM taskd.result WHERE job = %s RETURNING job", job.id)

    with pytest.raises(ResultExpired):
        Job(job.id).result(timeout=0)


def test_the_settings_of_the_page_on_results_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(
        r"```yaml\n(.*?)```", (HOW_TO / "results.md").read_text("utf-8"), re.DOTALL
    )

    loaded = Folder(tmp_path).load("imports: [words]\n" + text)

    assert (loaded.max_result, loaded.retention.results) == (8 * 1024**2, 2 * 86400)
    assert (Settings().max_result, Settings().retention.results) == (1024**2, 14 * 86400)


def test_the_pauses_are_those_of_the_page(names: dict[str, object]) -> None:
    told = re.findall(r"^(\w+) = Retry\(.*\) +# (.*) s$", MODULES["suppliers"], re.M)

    pauses = {name: [names[name].delay_before(n, 0.5) for n in range(2, 6)] for name, _ in told}  # type: ignore[attr-defined]

    assert pauses == {name: [float(one) for one in said.split(", ")] for name, said in told}
    assert list(pauses) == ["DOUBLING", "EVEN", "OWN"]


@of_page(["retries.md"])
def test_a_task_says_itself_when_it_goes_on_as_the_page_tells(
    shell: Shell, names: dict[str, object]
) -> None:
    shell.type("enqueue")
    shell.wait_for("cancelled")
    assert "there is nobody to order from" in shell.type("jobs", "show")
    shell.type("enqueue")
    shell.wait_for("scheduled")
    assert "snoozed" in shell.type("jobs", "show")
    assert shell.is_at_the_end()

    assert Job(shell.job).attempt == 0
    Job(shell.job).cancel()
    refused = names["load_prices"].enqueue("https://…")  # type: ignore[attr-defined]
    with pytest.raises(JobFailed, match="ConnectionRefusedError"):
        refused.result(timeout=20)
    assert refused.attempt == 1


@of_page(["unique.md"])
def test_the_key_is_held_as_the_page_tells(shell: Shell) -> None:
    shell.type("enqueue")
    first = shell.job
    shell.type("enqueue")
    assert (shell.job, Job(first).state) == (first, "scheduled")
    shell.type("enqueue")
    assert shell.job == first
    shell.wait_for("succeeded")
    shell.type("enqueue", "sync.reindex")
    shell.wait_for("succeeded")
    assert shell.is_at_the_end()


@of_page(["priorities.md"])
def test_a_job_has_the_priority_that_the_page_gives_it(shell: Shell) -> None:
    shell.type("enqueue")
    assert re.search(r"priority: +8$", shell.type("jobs", "show"), re.M)
    assert shell.is_at_the_end()


@of_page(["flows.md"])
def test_jobs_come_after_each_other_as_the_page_tells(shell: Shell) -> None:
    shell.type("enqueue")
    shell.type("enqueue", "flows.double", "--after")
    assert Job(shell.job).result(timeout=20) == 800
    shell.type("enqueue", "flows.total", "--after")
    assert Job(shell.job).result(timeout=20) == 1200
    assert re.search(r"result: +1200$", shell.type("jobs", "show"), re.M)
    assert shell.is_at_the_end()


@of_page(["time-limits.md"])
def test_a_job_is_limited_by_the_command_of_the_page(shell: Shell) -> None:
    shell.type("enqueue")
    shell.wait_for("failed")
    assert "JobTimeout: still running after" in shell.type("jobs", "show")
    assert shell.is_at_the_end()


@pytest.fixture
def catalog(tmp_path: Path, dsn: str) -> Iterator[Project]:
    """A project of its own, which a test may stop."""
    with closing(Project(tmp_path, dsn)) as project:
        project.write("catalog.py", MODULES["catalog"])
        project.write("buy.py", "import catalog\n\ncatalog.charge.enqueue(17)\n")
        pool = "{processes: 1, greenlets: 5, shutdown_timeout: 100ms}"
        project.write("taskd.yaml", f"imports: [catalog]\npools: {{io: {pool}}}\n")
        yield project


def test_what_must_not_run_twice_fails_as_the_page_tells(catalog: Project) -> None:
    daemon = catalog.start()

    catalog.python("buy.py")
    catalog.wait_for_states(running=1)
    (worker,) = daemon.pids("worker")
    os.kill(worker, signal.SIGKILL)
    catalog.wait_for_states(failed=1)
    catalog.python("buy.py")
    catalog.wait_for_states(failed=1, running=1)
    daemon.stop()

    errors = [error for (error,) in catalog.query("SELECT error FROM taskd.job ORDER BY id")]
    assert [error.partition(":")[0] for error in errors] == ["lost", "interrupted"]


@of_page(["steer-queues.md"])
def test_queues_are_steered_as_the_page_tells(shell: Shell) -> None:
    assert shell.type("queues", "pause", "mail") == "mail is paused now\n"
    shell.type("enqueue")
    (mail,) = [line for line in shell.type("queues").splitlines() if line.startswith("mail ")]
    assert mail.split()[1:3] == ["paused", "1"]
    assert Job(shell.job).state == "queued"

    assert shell.type("jobs", "move") == "1 moved\n"
    shell.wait_for("succeeded")
    assert shell.type("jobs", "move") == "0 would move\n"
    assert shell.type("queues", "resume", "mail") == "mail is open again\n"

    assert shell.type("jobs", "requeue").startswith(f"{shell.job} is now ")
    assert shell.type("jobs", "requeue") == "0 requeued\n"
    assert shell.type("jobs", "purge") == "0 purged\n"
    assert shell.is_at_the_end()


@of_page(["cancel.md"])
def test_jobs_are_cancelled_as_the_page_tells(shell: Shell, project: Project) -> None:
    shell.type("enqueue")
    shell.wait_for("running")
    assert "is running; its worker has been told to stop it" in shell.type("jobs", "cancel")
    shell.wait_for("cancelled")
    eventually(lambda: "half of dog.mp4 is removed" in project.logs())

    with pytest.raises(JobWasCancelled):
        Job(shell.job).result(timeout=0)

    waiting = project.taskd("enqueue", "videos.convert", '["cow.mp4"]', "--delay", "1h").stdout
    assert shell.type("jobs", "cancel", "--queue") == "0 would cancel\n"
    assert shell.type("jobs", "cancel", "--task") == "1 cancelled\n0 cancelling\n"
    assert Job(int(waiting)).state == "cancelled"
    assert shell.is_at_the_end()


@of_page(["failures.md"])
def test_failures_are_found_and_requeued_as_the_page_tells(
    shell: Shell, names: dict[str, object]
) -> None:
    retried = names["push"].enqueue(17)  # type: ignore[attr-defined]
    shell.type("enqueue")
    shell.wait_for("failed")

    assert "TimeoutError: order # took # s" in shell.type("jobs", "failures")
    assert "partners.push" in shell.type("jobs", "list")
    assert "TimeoutError: order 17 took 31 s" in shell.type("jobs", "show")
    again = Job(int(shell.type("jobs", "requeue").split()[-1]))
    eventually(lambda: again.state == "failed", 20)
    assert shell.type("jobs", "requeue", "--state") == "1 requeued\n"  # 4711 was already
    assert shell.is_at_the_end()

    eventually(lambda: retried.state == "scheduled" and retried.attempt >= 1, 20)
    retried.cancel()


@of_page(["transactions.md"])
def test_the_receipt_is_enqueued_with_the_order_as_the_page_tells(
    shell: Shell, project: Project, names: dict[str, object]
) -> None:
    check_out = names["check_out"]
    assert callable(check_out)
    project.execute(
        "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, item text NOT NULL)"
    )

    assert check_out(project.dsn, "a book").result(timeout=20) == "receipt for order 1"

    with pytest.raises(psycopg.errors.NotNullViolation):
        check_out(project.dsn, None)
    assert shell.type("jobs", "list").count("receipts.send_receipt") == 1
    assert shell.is_at_the_end()


def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path, embedded_server: TestServer) -> None:
    for name, text in Page.read("testing.md").modules.items():
        (tmp_path / f"{name}.py").write_text(text)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        env={
            **os.environ,
            "TASKD_TEST_DATABASE": embedded_server.dsn,
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
