"""What the pages order: asked about first, shown how many it is about, told when it is done.

The server's side of it is answered here, so that what is asked of it can be seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.browser.stand import Stand
from tests.browser.visitor import Visitor

Visit = Callable[..., Visitor]
Given = list[tuple[str, Any]]

ORDERS = (
    *(f"/jobs/{verb}" for verb in ("cancel", "requeue", "move", "delete")),
    *(f"/queues/{{queue}}/{verb}" for verb in ("pause", "resume", "purge", "move")),
    *(f"/schedules/{{name}}/{verb}" for verb in ("run", "pause", "resume")),
    *(f"/failures/{verb}" for verb in ("requeue", "acknowledge", "mute", "note")),
)


def answer_orders(visitor: Visitor, role: str = "operator") -> Given:
    """Let the server answer someone of that role, and note what it is told to do."""
    given: Given = []

    def describe(route: Route) -> None:
        document = route.fetch().json()
        for path in ORDERS:
            document["paths"].setdefault(path, {})["post"] = {}
        route.fulfill(json=document)

    def take(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        assert route.request.headers["x-taskd-csrf"] == "c5rf"
        body = json.loads(route.request.post_data or "{}")
        given.append((route.request.url.partition("/api/v1")[2], body))
        done = 0 if body.get("preview") else 9
        route.fulfill(json={"matched": 9, "done": done, "is_preview": not done, "more": False})

    visitor.page.route("**/api/v1/**", take)
    visitor.page.route("**/api/v1/openapi.json", describe)
    session = {"role": role, "needs_token": False, "csrf": "c5rf"}
    visitor.page.route("**/api/v1/session", lambda route: route.fulfill(json=session))
    return given


def press(visitor: Visitor, name: str) -> None:
    visitor.page.get_by_role("button", name=name, exact=True).first.click()


def test_an_order_to_many_says_first_how_many_it_is_about(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    visitor.go("jobs?task=shop.send&state=queued&group=7")
    filter_ = {"task": "shop.send", "state": "queued", "group": 7}

    press(visitor, "Cancel all that match")
    visitor.see("dialog >> text=It is about 9 jobs.")
    assert given == [("/jobs/cancel", {"filter": filter_, "preview": True})]
    visitor.page.locator("dialog").get_by_role("button", name="Cancel all that match").click()

    visitor.see("#notices >> text=Cancel all that match: 9 of 9 jobs")
    assert given[1:] == [("/jobs/cancel", {"filter": filter_})]
    assert visitor.page.locator("dialog").count() == 0


def test_chosen_jobs_are_moved_where_it_is_said(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    visitor.go("jobs?task=shop.send")
    rows = visitor.page.locator("tbody tr")
    ids = [int(rows.nth(at).locator("td a").first.inner_text()) for at in (0, 2)]
    for each in ids:
        visitor.page.get_by_label(f"Choose {each}").check()

    press(visitor, "Move 2 chosen")
    visitor.see("dialog >> text=It is about")
    visitor.page.get_by_label("To the queue").fill("post")
    visitor.press("Enter")

    visitor.see("#notices >> text=Move 2 chosen: 9 of 9 jobs")
    assert given[-1] == ("/jobs/move", {"ids": ids, "to": "post"})


def test_who_thinks_better_of_it_orders_nothing(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    visitor.go("queues")

    press(visitor, "Purge mail")
    visitor.see("dialog")
    visitor.press("Escape")

    visitor.until("document.querySelector('dialog') === null")
    assert visitor.page.evaluate("document.activeElement.innerText") == "Purge"
    assert given == []


ONE = [
    ("queues", "Resume mail", None, ("/queues/mail/resume", {})),
    ("queues", "Pause default", None, ("/queues/default/pause", {})),
    ("queues", "Purge mail", None, ("/queues/mail/purge", {})),
    ("queues", "Move mail", "post", ("/queues/mail/move", {"to": "post"})),
    ("schedules", "Run now nightly", None, ("/schedules/nightly/run", {})),
    ("schedules", "Pause nightly", None, ("/schedules/nightly/pause", {})),
]


@pytest.mark.parametrize(("place", "button", "text", "wanted"), ONE)
def test_each_button_orders_what_it_says(
    visit: Visit, stand: Stand, place: str, button: str, text: str | None, wanted: tuple[str, Any]
) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    visitor.go(place)

    press(visitor, button)
    if "Resume" not in button:  # what hurts nobody is not asked about
        if text:
            visitor.see("dialog input").fill(text)
        visitor.page.locator("dialog [type=submit]").click()

    visitor.see("#notices .done")
    assert given == [wanted]


def test_failures_are_requeued_acknowledged_muted_and_noted(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    visitor.go("failures")
    row = visitor.page.locator("tbody tr", has_text="shop.sync")
    cause = row.locator(".error").inner_text()
    about = {"task": "shop.sync", "cause": cause}

    row.get_by_role("button", name="Acknowledge").click()
    visitor.see("#notices >> text=It is acknowledged.")
    row.get_by_role("button", name="Note").click()
    visitor.page.get_by_label("Note", exact=True).fill("the remote moves house")
    visitor.page.locator("dialog [type=submit]").click()
    visitor.see("#notices >> text=The note is kept.")
    row.get_by_role("button", name="Requeue all").click()
    visitor.see("dialog >> text=It is about 9 jobs.")
    visitor.page.locator("dialog [type=submit]").click()
    visitor.see("#notices >> text=Requeue all: 9 of 9 jobs")

    assert given == [
        ("/failures/acknowledge", about),
        ("/failures/note", {**about, "note": "the remote moves house"}),
        ("/failures/requeue", {**about, "preview": True}),
        ("/failures/requeue", about),
    ]


def test_a_refusal_is_told(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    refusal = {"error": "job 7 of nightly has not ended, and its overlap is skip"}
    visitor.page.route("**/run", lambda route: route.fulfill(status=409, json=refusal))
    visitor.go("schedules")

    press(visitor, "Run now nightly")
    visitor.page.locator("dialog [type=submit]").click()

    visitor.see("#notices >> text=job 7 of nightly has not ended")
    visitor.errors = [error for error in visitor.errors if "status of 409" not in error]


def test_a_reader_has_no_buttons_for_orders(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor, role="reader")

    for place in ("queues", "jobs?task=shop.send", "failures", "schedules"):
        visitor.go(place)
        visitor.see("tbody tr")
        names = visitor.page.locator("main button").all_inner_texts()
        assert [name for name in names if name.split()[0] in WORDS] == []
        assert visitor.page.locator("main input[type=checkbox]").count() == 0


WORDS = ("Pause", "Resume", "Purge", "Move", "Cancel", "Requeue", "Delete", "Run", "Mute", "Note")
