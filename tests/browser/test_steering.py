"""The whole way of an order: from the button to a daemon that obeys, and back to the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator

from tests.browser.stand import Stand
from tests.browser.visitor import Visitor
from tests.waiting import eventually

Visit = Callable[..., Visitor]


def confirm(visitor: Visitor, button: Locator) -> None:
    """Press a button and agree to what it asks."""
    button.click()
    submit = visitor.see("dialog [type=submit]:enabled")
    submit.click()
    visitor.see("#notices .done")


def test_a_failed_job_is_found_opened_requeued_and_seen_to_succeed(
    visit: Visit, stand: Stand, tmp_path: Path
) -> None:
    cure = tmp_path / "cure"
    job = stand.enqueue("shop.heal", str(cure))
    stand.wait_until(job, "failed")
    visitor = visit().go("jobs?state=failed&task=shop.heal")
    visitor.page.get_by_role("link", name=str(job), exact=True).click()
    visitor.read("FileNotFoundError")
    cure.touch()

    confirm(visitor, visitor.page.get_by_role("button", name="Requeue"))

    visitor.go("jobs?task=shop.heal&state=succeeded")
    visitor.see("tbody .badge.succeeded")


def test_a_running_job_is_cancelled(visit: Visit, stand: Stand, tmp_path: Path) -> None:
    job = stand.enqueue("shop.mirror", "cancelled", str(tmp_path / "never"))
    stand.wait_until(job, "running")
    visitor = visit().go(f"jobs/{job}")
    visitor.see("#log >> text=mirroring cancelled")

    confirm(visitor, visitor.page.get_by_role("button", name="Cancel"))

    visitor.see("h1 .badge.cancelled")


def test_a_running_job_shows_where_it_stands_and_its_worker_too(
    visit: Visit, stand: Stand, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = stand.enqueue("shop.mirror", "watched", str(gate))
    stand.wait_until(job, "running")
    visitor = visit().go(f"jobs/{job}")

    visitor.page.get_by_role("button", name="Show where it stands").click()

    visitor.see("#stack >> text=in mirror")
    visitor.go("workers")
    visitor.page.get_by_role("link", name="io/0").click()
    visitor.page.get_by_role("heading", name="Worker io/0").wait_for()
    visitor.see("section[aria-label=Jobs]")
    gate.touch()
    visitor.go(f"jobs/{job}")
    visitor.see("h1 .badge.succeeded")
    visitor.read("of CPU")
    assert visitor.page.get_by_role("button", name="Show where it stands").count() == 0


def test_a_queue_is_paused_moved_and_resumed(visit: Visit, stand: Stand) -> None:
    stand.enqueue("shop.report", "eu", queue="steered")
    visitor = visit().go("queues")
    row = visitor.page.locator("tr", has=visitor.page.get_by_role("link", name="steered"))

    confirm(visitor, row.get_by_role("button", name="Pause"))
    row.locator(".badge.paused").wait_for(timeout=40_000)
    row.get_by_role("button", name="Resume").click()
    row.locator(".badge.paused").wait_for(state="detached", timeout=40_000)
    row.get_by_role("button", name="Move").click()
    visitor.page.get_by_label("To the queue").fill("elsewhere")
    visitor.press("Enter")

    visitor.page.get_by_role("link", name="elsewhere").wait_for()


def test_all_that_match_are_cancelled_and_it_is_written_down(visit: Visit, stand: Stand) -> None:
    stand.project.enqueue_many("shop.report", [("a",), ("b",), ("c",)], "nobody-takes-it")
    visitor = visit().go("jobs?queue=nobody-takes-it&state=queued")
    visitor.see("tbody tr")

    visitor.page.get_by_role("button", name="Cancel all that match").click()
    visitor.see("dialog >> text=It is about 3 jobs.")
    visitor.page.locator("dialog [type=submit]").click()

    visitor.see("#notices >> text=Cancel all that match: 3 of 3 jobs")
    visitor.read("No job matches.")
    visitor.go("audit")
    visitor.read("jobs.cancel")


def test_a_schedule_runs_now(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("schedules")
    row = visitor.page.locator("tr", has_text="nightly")

    confirm(visitor, row.get_by_role("button", name="Run now"))

    eventually(lambda: row.get_by_role("link").count() == 1)


def test_a_cause_is_acknowledged_muted_and_noted(visit: Visit, stand: Stand) -> None:
    job = stand.enqueue("shop.echo", "a cause of its own")
    stand.wait_until(job, "failed")
    visitor = visit().go("failures")
    row = visitor.page.locator("tr", has_text="a cause of its own")

    row.get_by_role("button", name="Acknowledge").click()
    row.get_by_text("acknowledged").wait_for()
    confirm(visitor, row.get_by_role("button", name="Mute"))
    row.locator(".badge.muted").wait_for()
    row.get_by_role("button", name="Note").click()
    visitor.page.get_by_label("Note", exact=True).fill("known since Monday")
    visitor.page.locator("dialog [type=submit]").click()

    row.get_by_text("known since Monday").wait_for()


def test_why_a_job_waits_and_how_the_database_is_are_told(visit: Visit, stand: Stand) -> None:
    ((waiting,),) = stand.project.query("SELECT id FROM taskd.blocked WHERE task = 'shop.mirror'")

    visitor = visit().go(f"jobs/{waiting}")
    visitor.read("repo:debian")
    visitor.read("held by job")
    visitor.go("database")
    visitor.read("memory_reading")
    visitor.go("workers")
    visitor.see("#memory-io .legend")
