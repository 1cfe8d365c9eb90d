"""The programs of `examples/` under their daemons, seen and steered from a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from examples.mirror.download import digest_of
from examples.mirror.origin import Origin
from tests.browser.probes import NAMELESS
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
JOBS_THAT_LEAK = 1000
MIX = {"sync_catalog": 500, "send_receipt": 350, "refresh_price": 350, "resize_image": 100}
LISTED = "queues: {mirror-io: {description: listed also while it is empty, concurrency: 20}}\n"
LEAK_TOLD = "SELECT 1 FROM taskd.leak WHERE line IS NOT NULL"
PAGES = {
    "overview": ("Throughput", "Backlog by queue"),
    "queues": ("mirror-io",),
    f"jobs?task={MIRROR}.sync_project": ("nightly", "HTTP Error 404", "succeeded"),
    "failures": ("HTTP Error #", f"{MIRROR}.sync_project"),
    "workers": ("io/", "cpu/", "Memory of pool io", "over its soft limit"),
    "tasks": (f"{LEAKY}.sync_catalog", "in all", "pools io"),
    "resources": ("limit of queue", "mirror-io"),
    "schedules": ("nightly", "12h"),
    "leaks": (f"{LEAKY}.sync_catalog", "examples/leaky/tasks.py:"),
    "database": ("Tables and partitions", "memory_reading"),
    "audit": ("queues.pause", "mirror-io"),
}
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
        patch.setenv("LEAKY_SOFT", "60MB")
        start(project, origin)
        with dashboard(project) as url, busy_shop(project):
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
    hunt = project.taskd("leaks", "hunt", "--task", f"{LEAKY}.sync_catalog")
    assert hunt.returncode == 0, hunt.stderr


@contextmanager
def busy_shop(project: Project) -> Iterator[None]:
    """The shop that leaks has something to do."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.5):
            waiting = project.query("SELECT count(*) FROM taskd.queued WHERE queue = 'leaky'")
            if waiting[0][0] < JOBS_THAT_LEAK:
                for name, number in MIX.items():
                    calls = [(shop,) for shop in range(number)]
                    project.enqueue_many(f"{LEAKY}.{name}", calls, "leaky")

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        is_over.set()
        worker.join()


@pytest.mark.timeout(600)
def test_the_examples_are_seen_and_steered_on_a_desktop_and_on_a_phone(
    enter: Callable[..., Visitor], scene: Scene
) -> None:
    for size in SIZES:  # one test, for two might run at the same time, each with its daemons
        walk(enter, scene, size)
    eventually(lambda: scene.project.query(LEAK_TOLD), 240)
    for size in SIZES:
        see_each_page(enter(scene.url, viewport=SIZES[size]), scene, size)


def walk(enter: Callable[..., Visitor], scene: Scene, size: str) -> None:
    """Do what a person on call would."""
    visitor, other = (enter(scene.url, viewport=SIZES[size]) for _ in range(2))
    name = f"parcel{size}"
    job = scene.sync(name, scene.origin)

    see_it_fail(visitor, job)
    keep(visitor, f"job-failed-{size}")
    requeue_and_watch(visitor, other, lambda: scene.publish(name))
    look_into(visitor, scene.sync(name, scene.slow))
    keep(visitor, f"job-stack-{size}")
    confirm(visitor, visitor.page.get_by_role("button", name="Cancel"))
    visitor.see("h1 .badge.cancelled")
    run_a_schedule(visitor)
    pause_a_schedule(visitor)
    steer_many(visitor, scene, f"later-{size}")
    judge_a_cause(visitor, scene, f"no-such-{size}")
    visitor.go("workers")
    drain_a_worker(visitor)
    eventually(lambda: visitor.page.locator(".marks", has_text="over its soft limit").count())


def see_each_page(visitor: Visitor, scene: Scene, size: str) -> None:
    """Look at every page: it shows what there is, in the room that it has."""
    job = scene.sync("held", scene.slow)
    visitor.go(f"jobs/{job}")
    visitor.see("h1 .badge.running")
    worker = visitor.see("main a[href^='#/workers/']").get_attribute("href") or ""
    of_one = {f"jobs/{job}": ("sync_project", "of memory"), worker[2:]: ("in list_files",)}

    for place, texts in {**PAGES, **of_one}.items():
        visitor.go(place)
        for text in texts:
            visitor.read(text)
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
        assert visitor.page.evaluate(NAMELESS) == [], place
        if place in PAGES:
            keep(visitor, f"example-{place.partition('?')[0]}-{size}")
    scene.project.taskd("jobs", "cancel", str(job))


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


def pause_a_schedule(visitor: Visitor) -> None:
    """Let a schedule's slots pass, and let it go on."""
    row = visitor.page.locator("tr", has_text="nightly")
    confirm(visitor, row.get_by_role("button", name="Pause"))
    row.locator(".badge.paused").wait_for()
    row.get_by_role("button", name="Resume").click()
    row.locator(".badge.active").wait_for()


def steer_many(visitor: Visitor, scene: Scene, queue: str) -> None:
    """Move, purge, requeue, cancel and delete jobs of a queue that nobody serves."""
    calls = [(scene.origin.index_url, f"later{n}", "nowhere") for n in range(3)]
    scene.project.enqueue_many(f"{MIRROR}.sync_project", calls, f"{queue}-first")

    visitor.go("queues")
    first = visitor.page.get_by_role("link", name=f"{queue}-first", exact=True)
    row = visitor.page.locator("tr", has=first)
    move(visitor, row.get_by_role("button", name="Move"), f"{queue}-second")
    order_all(visitor, f"queue={queue}-second&state=queued", "Move", queue)
    visitor.go("queues")
    row = visitor.page.locator("tr", has=visitor.page.get_by_role("link", name=queue, exact=True))
    confirm(visitor, row.get_by_role("button", name="Purge"))
    visitor.see("#notices >> text=Purge: 3 of 3 jobs")
    order_all(visitor, f"queue={queue}&state=cancelled", "Requeue")
    order_all(visitor, f"queue={queue}&state=queued", "Cancel")
    order_all(visitor, f"queue={queue}&state=cancelled", "Delete", number=6)
    visitor.read("No job matches.")


def order_all(visitor: Visitor, query: str, what: str, to: str = "", number: int = 3) -> None:
    """Order something for all jobs that match a filter, of which there are so many."""
    visitor.go(f"jobs?{query}")
    visitor.until(f"document.querySelectorAll('tbody tr').length === {number}")
    button = visitor.page.get_by_role("button", name=f"{what} all that match")
    if to:
        move(visitor, button, to)
    else:
        confirm(visitor, button)
    visitor.see(f"#notices >> text={what} all that match: {number} of {number} jobs")


def move(visitor: Visitor, button: Locator, to: str) -> None:
    """Press a button and say which queue is meant."""
    visitor.dismiss_notices()
    button.click()
    visitor.page.get_by_label("To the queue").fill(to)
    visitor.see("dialog [type=submit]:enabled").click()
    visitor.see("#notices .done")


def judge_a_cause(visitor: Visitor, scene: Scene, name: str) -> None:
    """Say of what has failed that it is known, not worth hearing of, and why; and requeue it."""
    job = scene.sync(name, scene.origin)
    eventually(lambda: scene.project.query("SELECT 1 FROM taskd.history WHERE id = %s", job))
    visitor.go("failures")
    row = visitor.page.locator("tr", has_text="HTTP Error #")

    for what, back, word in (
        ("Acknowledge", "Take back", "acknowledged"),
        ("Mute", "Unmute", "muted"),
    ):
        row.get_by_role("button", name=what).click()
        if what == "Mute":
            visitor.see("dialog [type=submit]").click()
        row.locator(f".badge.{word}").wait_for()
        visitor.leave_the_list()
        row.get_by_role("button", name=back).click()
        row.locator(f".badge.{word}").wait_for(state="detached")
    row.get_by_role("button", name="Note").click()
    visitor.see("dialog textarea").fill(f"{name} was never published")
    visitor.see("dialog [type=submit]").click()
    row.get_by_text(f"{name} was never published").wait_for()
    confirm(visitor, row.get_by_role("button", name="Requeue all"))
    visitor.see("#notices >> text=/Requeue all: (\\d+) of \\1 jobs?/")


def drain_a_worker(visitor: Visitor) -> None:
    """Drain the worker of the process pool, and see another one in its place."""
    row = visitor.page.locator("tr", has_text="cpu/").filter(has_text="idle")
    before = row.locator("td[data-label=pid]").inner_text()
    confirm(visitor, row.get_by_role("button", name="Drain"))
    visitor.leave_the_list()
    eventually(lambda: before not in row.locator("td[data-label=pid]").all_inner_texts())
    row.locator("td[data-label=pid]").wait_for()
