"""The programs of `examples/` under their daemons, seen and steered from a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.mirror.download import digest_of
from examples.mirror.origin import Origin
from tests.browser.stand import dashboard
from tests.browser.test_pages import SIZES, keep
from tests.browser.test_steering import confirm
from tests.browser.visitor import Visitor
from tests.conftest import TestServer
from tests.process.daemon import Project
from tests.unit.test_mirror import make_wheel
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
MIRROR, LEAKY = "examples.mirror.tasks", "examples.leaky.tasks"
JOBS_THAT_LEAK = 6000
LISTED = "queues:\n  mirror-io: {description: listed also while it is empty}\n"
NO_LEAST_AGE = "      min_lifetime: 1s\n"


class Held(Origin):
    """An index that lets whoever asks wait until it is closed."""

    def __init__(self, wheels: Path) -> None:
        self.is_over = threading.Event()
        super().__init__(wheels, 0.0)

    def wait(self) -> None:
        self.is_over.wait()

    def close(self) -> None:
        self.is_over.set()
        super().close()


@dataclass
class Scene:
    """Both examples on one database: a mirror that has something to do, and a shop that leaks.

    `slow` is an index that lets whoever asks wait.
    """

    project: Project
    url: str
    origin: Origin
    slow: Origin

    def sync(self, name: str, origin: Origin) -> int:
        """Enqueue the listing of a project, to be tried once."""
        root = str(self.project.folder / "mirror")
        calls = [(origin.index_url, name, root)]
        return self.project.enqueue_many(f"{MIRROR}.sync_project", calls, "mirror-io")[0]

    def publish(self, name: str) -> None:
        """Let the index have a wheel of a project."""
        wheel = make_wheel(self.origin.wheels, name)
        self.origin.files[wheel.name] = digest_of(wheel)


@pytest.fixture(scope="module")
def scene(embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "wheels").mkdir()
    make_wheel(folder / "wheels", "nightly")
    origin, slow = Origin(folder / "wheels", 0.0), Held(folder / "wheels")
    name = embedded_server.create()
    project = Project(folder, embedded_server.of(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("MIRROR_PROCESSES", "1")
        patch.setenv("LEAKY_SOFT", "48MB")
        start(project, origin)
        with dashboard(project) as url:
            yield Scene(project, url, origin, slow)
        project.close()
    for each in (origin, slow):
        each.close()
    embedded_server.drop(name)


def start(project: Project, origin: Origin) -> None:
    """The daemons of both examples, with a schedule, and with a leak that shows within seconds."""
    args = json.dumps([origin.index_url, "nightly", str(project.folder / "mirror")])
    schedule = f"schedules:\n  nightly: {{task: {MIRROR}.sync_project, every: 12h, args: {args}}}\n"
    project.write("mirror.yaml", (EXAMPLES / "mirror/taskd.yaml").read_text() + schedule + LISTED)
    project.write("leaky.yaml", (EXAMPLES / "leaky/taskd.yaml").read_text() + NO_LEAST_AGE)
    daemons = [
        project.start("--config", f"{each}.yaml", ready=False) for each in ("mirror", "leaky")
    ]
    for daemon in daemons:
        daemon.wait_until_ready(60)
    calls = [(shop,) for shop in range(JOBS_THAT_LEAK)]
    project.enqueue_many(f"{LEAKY}.sync_catalog", calls, "leaky")


@pytest.mark.timeout(400)
def test_the_examples_are_seen_and_steered_on_a_desktop_and_on_a_phone(
    enter: Callable[..., Visitor], scene: Scene
) -> None:
    for size in SIZES:  # one test, for two might run at the same time, each with its daemons
        walk(enter, scene, size)


def walk(enter: Callable[..., Visitor], scene: Scene, size: str) -> None:
    """Do what a person on call would."""
    visitor, other = (enter(scene.url, viewport=SIZES[size]) for _ in range(2))
    name = f"parcel{size}"
    job = scene.sync(name, scene.origin)

    see_it_fail(visitor, job)
    requeue_and_watch(visitor, other, lambda: scene.publish(name))
    look_into(visitor, scene.sync(name, scene.slow))
    keep(visitor, f"stack-{size}")
    confirm(visitor, visitor.page.get_by_role("button", name="Cancel"))
    visitor.see("h1 .badge.cancelled")
    run_a_schedule(visitor)
    visitor.go("workers")
    drain_a_worker(visitor)
    visitor.see(".marks >> text=over its soft limit")
    visitor.see("#memory-io").evaluate("each => each.scrollIntoView()")
    keep(visitor, f"recycled-{size}")


def see_it_fail(visitor: Visitor, job: int) -> None:
    """Find the failed job by a filter and open it."""
    visitor.go("jobs")
    visitor.page.get_by_label("Task", exact=True).fill(f"{MIRROR}.sync_project")
    visitor.page.get_by_label("State").select_option("failed")
    visitor.page.get_by_role("button", name="Show", exact=True).click()
    visitor.until("location.hash.includes('state=failed')")
    visitor.see("tbody .badge.failed")
    visitor.page.locator("td[data-label=job]").get_by_text(str(job), exact=True).click()
    visitor.read("HTTP Error 404")


def requeue_and_watch(visitor: Visitor, other: Visitor, mend: Callable[[], None]) -> None:
    """Requeue it while its queue is paused, and see it succeed when another window resumes that."""
    other.go("queues")
    row = other.page.locator("tr", has=other.page.get_by_role("link", name="mirror-io"))
    confirm(other, row.get_by_role("button", name="Pause"))
    row.locator(".badge.paused").wait_for()
    confirm(visitor, visitor.page.get_by_role("button", name="Requeue"))
    visitor.go(f"jobs?task={MIRROR}.sync_project&state=queued")
    visitor.see("tbody td[data-label=job] a").click()
    visitor.see("h1 .badge.queued")
    visitor.read("paused")
    mend()

    row.get_by_role("button", name="Resume").click()

    visitor.see("h1 .badge.succeeded")


def look_into(visitor: Visitor, job: int) -> None:
    """See where a running job stands."""
    visitor.go(f"jobs/{job}")
    visitor.see("h1 .badge.running")
    visitor.page.get_by_role("button", name="Show where it stands").click()
    visitor.see("#stack >> text=in list_files")


def run_a_schedule(visitor: Visitor) -> None:
    """Let a schedule run now, and see the job that comes of it."""
    visitor.go("schedules")
    row = visitor.page.locator("tr", has_text="nightly")
    before = row.get_by_role("link").all_inner_texts()
    confirm(visitor, row.get_by_role("button", name="Run now"))
    eventually(lambda: row.get_by_role("link").all_inner_texts() != before)


def drain_a_worker(visitor: Visitor) -> None:
    """Drain the worker of the process pool, and see another one in its place."""
    row = visitor.page.locator("tr", has_text="cpu/").filter(has_text="idle")
    before = row.locator("td[data-label=pid]").inner_text()
    confirm(visitor, row.get_by_role("button", name="Drain"))
    visitor.leave_the_list()
    eventually(lambda: before not in row.locator("td[data-label=pid]").all_inner_texts())
    row.locator("td[data-label=pid]").wait_for()
