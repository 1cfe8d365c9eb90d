"""The whole way of an order: from the button to a daemon that obeys, and back to the page."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from tests.browser.stand import Stand
from tests.browser.visitor import Visitor

Visit = Callable[..., Visitor]


def confirm(visitor: Visitor, button: Locator) -> None:
    """Press a button and agree to what it asks."""
    visitor.dismiss_notices()  # or an older one would be taken for this one's
    button.click()
    submit = visitor.see("dialog [type=submit]:enabled")
    submit.click()
    visitor.see("#notices .done")


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
    visitor.see("dialog [type=submit]:enabled").click()

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
