"""Each page shows what there is, on a desktop and on a phone, without an error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.probes import FAINT, NAMELESS, UNKNOWN
from tests.browser.stand import Stand
from tests.browser.visitor import DESKTOP, PHONE, Visitor
from tests.waiting import eventually

Visit = Callable[..., Visitor]

PICTURES = os.environ.get("TASKD_PICTURES")
"""A folder: there the tests leave pictures of what they have seen, for the documentation."""

MOST_HIGH = 2200
"""So many pixels of a page are in its picture at most: of long lists, the begin."""

LAST_WHOLE = f"""Math.max(...[...document.querySelectorAll("tr, .card, .tile, .heading")]
    .map((each) => Math.floor(each.getBoundingClientRect().bottom + scrollY))
    .filter((bottom) => bottom <= {MOST_HIGH}))"""
"""Where the last row or card ends that is whole in such a picture."""

PAGES = {
    "overview": ("Throughput", "Latency, queue to start", "Backlog by queue"),
    "queues": ("default", "mail", "paused"),
    "jobs": ("shop.send", "user8@example.org", "queued"),
    "failures": ("ConnectionError", "shop.sync"),
    "workers": ("io/0", "maintenance", "MB", "busy", "Drain"),
    "tasks": ("shop.fetch", "(url, depth=1)"),
    "resources": ("repo:debian", "shop.mirror"),
    "schedules": ("nightly", "Europe/Berlin", "12h"),
}
SIZES = {"desktop": DESKTOP, "phone": PHONE}


def keep(visitor: Visitor, name: str) -> None:
    """Leave a picture of the whole page, at rest; those of `docs/images` have these names."""
    if not PICTURES:
        return
    visitor.dismiss_notices()
    visitor.page.mouse.move(0, 0)
    visitor.page.evaluate("scrollTo(0, 0)")
    path = Path(PICTURES) / f"{name.removesuffix('-desktop')}.png"
    width, height = visitor.page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    if height > MOST_HIGH:
        height = visitor.page.evaluate(LAST_WHOLE)
    part = {"x": 0, "y": 0, "width": width, "height": height}
    visitor.page.screenshot(path=path, full_page=True, clip=part, animations="disabled")


def held_job(stand: Stand) -> int:
    ((job,),) = stand.project.query("SELECT id FROM taskd.running WHERE task = 'shop.mirror'")
    return int(job)


def places_of_one(stand: Stand) -> tuple[str, str]:
    """The pages of a job that runs on, and of its worker."""
    ((worker,),) = stand.project.query(
        "SELECT worker FROM taskd.running WHERE task = 'shop.mirror'"
    )
    return f"jobs/{held_job(stand)}", f"workers/{worker}"


@pytest.mark.parametrize("size", SIZES)
def test_each_page_shows_what_there_is(visit: Visit, stand: Stand, size: str) -> None:
    visitor = visit(viewport=SIZES[size])
    job, worker = places_of_one(stand)
    wanted = {
        **PAGES,
        job: ("shop.mirror", "running", "of 100 packages", "of memory", "Run it by hand"),
        worker: ("shop.mirror", "in mirror", "Jobs"),
    }

    for place, texts in wanted.items():
        visitor.go(place)
        for text in texts:
            visitor.read(text)
        visitor.until(f"({UNKNOWN}).length === 0")
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
        keep(visitor, f"{place.replace('s/', '').strip('0123456789')}-{size}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(visit: Visit, stand: Stand, scheme: str) -> None:
    visitor = visit(color_scheme=scheme)

    for place in (*PAGES, *places_of_one(stand)):
        visitor.go(place)
        assert visitor.page.evaluate(FAINT) == [], place
        if place == "overview":
            keep(visitor, f"overview-{scheme}")


def test_a_job_is_followed_to_its_end(visit: Visit, stand: Stand, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = stand.enqueue("shop.mirror", "live", str(gate))
    stand.wait_until(job, "running")
    visitor = visit().go(f"jobs/{job}")
    visitor.read("of 100 packages")

    gate.touch()

    visitor.see("h1 .badge.succeeded")
    visitor.read('"done"')
    assert visitor.page.locator("text=of 100 packages").count() == 0


def test_what_happens_is_shown_without_a_reload(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("queues")
    visitor.read("mail")

    stand.enqueue("shop.echo", "new", queue="fresh")

    visitor.page.get_by_role("link", name="fresh").wait_for()


def test_jobs_are_found_by_filters_and_page_by_page(visit: Visit, stand: Stand) -> None:
    visitor = visit(timezone_id="Asia/Tokyo").go("jobs")
    since = visitor.page.get_by_label("Enqueued since")

    visitor.page.get_by_label("Task", exact=True).fill("shop.fetch")
    visitor.page.get_by_label("State").select_option("succeeded")
    since.fill("2020-01-31 08:00")
    visitor.press("Tab")
    visitor.page.get_by_role("button", name="Show", exact=True).click()
    visitor.until("document.querySelectorAll('tbody tr').length == 50")
    assert "2020-01-30T23" in visitor.page.url
    assert since.input_value() == "2020-01-31 08:00"
    first = visitor.page.locator("tbody td[data-label=job] a").first.inner_text()
    visitor.page.get_by_role("link", name="Older").click()

    visitor.page.get_by_role("link", name="Newest").wait_for()
    visitor.until("document.querySelectorAll('tbody tr').length >= 10")
    ids = [
        int(each) for each in visitor.page.locator("tbody td[data-label=job] a").all_inner_texts()
    ]
    assert ids == sorted(ids, reverse=True)
    assert ids[0] <= int(first) - 50
    assert {*visitor.page.locator("tbody .badge").all_inner_texts()} == {"succeeded"}


def test_a_wrong_filter_is_named(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("jobs?older_than=soon")

    visitor.read("older_than: 'soon'")
    visitor.errors = [error for error in visitor.errors if "status of 400" not in error]


def test_nothing_moves_under_the_pointer(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("jobs?task=shop.send")
    row = visitor.page.locator("tbody tr").nth(2)
    before = row.bounding_box(), row.inner_text().split()[0]
    row.hover()

    stand.project.enqueue_many("shop.send", [("late@example.org",)], "mail")

    visitor.see("text=1 more: shown when you leave the list")
    assert (row.bounding_box(), row.inner_text().split()[0]) == before
    visitor.page.mouse.move(5, 5)
    visitor.read("late@example.org")


def test_held_still_nothing_changes_at_all(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    visitor.page.clock.install()
    visitor.go("jobs?task=shop.report")
    visitor.page.get_by_role("button", name="Live").click()
    visitor.page.wait_for_load_state("networkidle")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))

    stand.enqueue("shop.report", "still", queue="nobody")
    visitor.page.clock.run_for(20_000)
    assert asked == []
    visitor.page.get_by_role("button", name="Paused").click()

    visitor.page.clock.run_for(5_000)
    visitor.read("still")


HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>'


def test_what_jobs_say_is_text_everywhere(visit: Visit, stand: Stand) -> None:
    job = stand.enqueue("shop.echo", HOSTILE)
    stand.wait_until(job, "failed")
    visitor = visit()

    for place in (f"jobs/{job}", "jobs?task=shop.echo", "failures"):
        visitor.go(place)
        visitor.read("<img src=x onerror=")
        assert visitor.page.locator("main img, main script").count() == 0
        assert visitor.page.evaluate("window.hacked") is None


def test_the_browser_itself_would_refuse_to_read_html(visit: Visit) -> None:
    visitor = visit().go("overview")

    refused = visitor.page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>'; } catch (e) { return e.name; } })()"
    )

    assert refused == "TypeError"
    visitor.errors = [error for error in visitor.errors if "TrustedHTML" not in error]


def test_times_are_those_of_the_viewers_zone(visit: Visit, stand: Stand) -> None:
    ((created,),) = stand.project.query(
        "SELECT to_char(created_at AT TIME ZONE 'Asia/Tokyo', 'HH24:MI:SS') "
        "FROM taskd.job WHERE id = %s",
        held_job(stand),
    )

    visitor = visit(timezone_id="Asia/Tokyo").go(f"jobs/{held_job(stand)}")

    assert created in visitor.see(".timeline time").inner_text()
    assert "Asia/Tokyo" in visitor.see("footer").inner_text()
    visitor.go("jobs?finished_until=1h")
    visitor.page.get_by_label("Ended before").fill("2030-01-31 08:00")
    visitor.press("Enter")
    visitor.until("location.hash.includes('2030-01-30T23%3A00%3A00.000Z')")
    visitor.until("document.querySelectorAll('tbody tr').length >= 10")


def test_all_can_be_reached_by_the_keyboard(visit: Visit) -> None:
    visitor = visit().go("overview")

    visitor.press("Tab")
    assert visitor.page.evaluate("document.activeElement.id") == "skip"
    visitor.press("Enter")
    assert visitor.page.evaluate("document.activeElement.tagName") == "H1"
    visitor.page.get_by_role("link", name="Jobs", exact=True).focus()
    visitor.press("Enter")
    visitor.until("document.activeElement.innerText == 'Jobs'")
    assert visitor.page.title() == "Jobs · taskd"

    visitor.go("overview")
    visitor.see("#throughput .plot").focus()
    visitor.press("Home")
    before = visitor.see("#throughput figcaption .note").inner_text()
    visitor.press("ArrowRight")
    eventually(lambda: visitor.see("#throughput figcaption .note").inner_text() != before)
    assert "at most" in (visitor.see("#throughput .plot").get_attribute("aria-label") or "")


def test_everything_has_a_name_and_each_page_its_landmarks(visit: Visit, stand: Stand) -> None:
    visitor = visit()

    for place in (*PAGES, *places_of_one(stand)):
        visitor.go(place)
        for role in ("banner", "main", "contentinfo"):
            assert visitor.page.get_by_role(role).count() == 1
        assert visitor.page.get_by_role("navigation", name="Pages of the dashboard").is_visible()
        assert visitor.page.locator("h1").count() == 1
        assert visitor.page.evaluate(NAMELESS) == [], place


def test_the_menu_of_a_phone_opens_and_closes(visit: Visit) -> None:
    visitor = visit(viewport=PHONE).go("overview")
    menu = visitor.page.get_by_role("button", name="Menu")
    assert visitor.page.get_by_role("link", name="Queues", exact=True).count() == 0

    menu.click()
    assert menu.get_attribute("aria-expanded") == "true"
    visitor.page.get_by_role("link", name="Queues", exact=True).click()

    visitor.page.get_by_role("heading", name="Queues", level=1).wait_for()
    assert menu.get_attribute("aria-expanded") == "false"


def test_the_chosen_theme_is_kept(visit: Visit) -> None:
    visitor = visit().go("overview")
    for name in ("light", "dark"):
        visitor.page.get_by_role("button", name="Theme").click()
        visitor.see(f"text=Theme: {name}")

    visitor.page.reload()

    visitor.see("text=Theme: dark")
    assert (
        visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
        == "rgb(15, 19, 25)"
    )


def test_an_unknown_page_or_job_is_told(visit: Visit) -> None:
    visitor = visit().go("nothing")
    visitor.read("Not found")
    visitor.go("jobs/4711000")
    visitor.read("job 4711000 is unknown")
    visitor.errors = [error for error in visitor.errors if "status of 404" not in error]
