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
from tests.waiting import eventually

Visit = Callable[..., Visitor]
Given = list[tuple[str, Any]]


def answer_orders(visitor: Visitor, role: str = "operator") -> Given:
    """Let the server answer someone of that role, and note what it is told to do."""
    given: Given = []

    def take(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        assert route.request.headers["x-taskd-csrf"] == "c5rf"
        body = json.loads(route.request.post_data or "{}")
        given.append((route.request.url.partition("/api/v1")[2], body))
        done = 0 if body.get("preview") else 9
        answer = {"matched": 9, "done": done, "is_preview": not done, "more": False}
        route.fulfill(json={**answer, "next_before": None, "workers": 3})

    visitor.page.route("**/api/v1/**", take)
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
    visitor.until("document.querySelector('tbody input') !== null")
    visitor.until("document.querySelector('tbody input:checked') === null")


def test_who_thinks_better_of_it_orders_nothing(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    visitor.go("queues")

    press(visitor, "Purge mail")
    visitor.see("dialog")
    visitor.press("Escape")

    visitor.until("document.querySelector('dialog') === null")
    assert visitor.page.evaluate("document.activeElement.innerText") == "Purge"
    assert given == [("/queues/mail/purge", {"preview": True})]


def answer_in_steps(visitor: Visitor, path: str, most: int, steps: list[int]) -> list[Any]:
    """Let an order find so many in each step, going down from id `most`; what it was told."""
    told: list[Any] = []

    def take(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        told.append(body)
        before = body.get("before", body.get("filter", {}).get("before", most))
        at = (most - before) // 100
        found, is_last = steps[at], at + 1 == len(steps)
        done = 0 if body.get("preview") else found
        rest = {"more": not is_last, "next_before": None if is_last else before - 100}
        route.fulfill(json={"matched": found, "done": done, "is_preview": False, **rest})

    visitor.page.route(f"**/api/v1{path}", take)
    return told


@pytest.mark.parametrize(
    ("place", "path", "button", "word"),
    [
        ("jobs?task=shop.send", "/jobs/cancel", "Cancel all that match", "cancelled"),
        ("jobs?task=shop.send", "/jobs/move", "Move all that match", "moved"),
        ("jobs?task=shop.send", "/jobs/delete", "Delete all that match", "deleted"),
        ("jobs?task=shop.send", "/jobs/requeue", "Requeue all that match", "requeued"),
        ("queues", "/queues/mail/purge", "Purge mail", "cancelled"),
        ("queues", "/queues/mail/move", "Move mail", "moved"),
    ],
)
def test_an_order_goes_on_below_what_it_has_looked_at_until_none_is_left(
    visit: Visit, stand: Stand, place: str, path: str, button: str, word: str
) -> None:
    visitor = visit()
    answer_orders(visitor)
    told = answer_in_steps(visitor, path, 1000, [10_000, 0, 10_000, 3])
    visitor.go(place)

    press(visitor, button)
    visitor.see("dialog >> text=It is about at least 10,000 jobs.")
    if word == "moved":
        visitor.see("dialog input").fill("post")
    visitor.page.evaluate(COLLECT)
    visitor.page.locator("dialog [type=submit]").click()

    label = button.replace(" mail", "")
    visitor.see(f"#notices >> text={label}: 20,003 of 20,003 jobs")
    given = [body for body in told if "preview" not in body]
    below = [body.get("before", body.get("filter", {}).get("before")) for body in given]
    assert below == [None, 900, 800, 700]
    heard = visitor.page.evaluate("document.heard")
    assert [f"{label}: {n} {word} so far …" in heard for n in ("10,000", "20,000")] == [True] * 2


COLLECT = """(() => {
  document.heard = "";
  const notices = document.getElementById("notices");
  const all = { childList: true, subtree: true, characterData: true };
  new MutationObserver(() => { document.heard += notices.innerText; }).observe(notices, all);
})()"""
"""What is told at the page's edge from now on, also if it is gone at once."""


def hold_orders(visitor: Visitor, path: str, before: int | None = None) -> list[Route]:
    """Keep the steps of an order that look below a job waiting, until each is given back."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        if "preview" in body or body.get("before", body.get("filter", {}).get("before")) != before:
            route.fallback()
        else:
            held.append(route)

    visitor.page.route(f"**/api/v1{path}", hold)
    return held


def first_of(visitor: Visitor, held: list[Route]) -> Route:
    """The first of them, once it is there; requests are only seen while the page is spoken to."""
    eventually(lambda: visitor.page.evaluate("true") and held)
    return held[0]


def test_an_order_that_goes_on_can_be_stopped(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    told = answer_in_steps(visitor, "/jobs/cancel", 1000, [10_000, 10_000, 10_000])
    waiting = hold_orders(visitor, "/jobs/cancel", before=900)
    visitor.go("jobs?task=shop.send")
    press(visitor, "Cancel all that match")
    visitor.see("dialog [type=submit]:enabled").click()

    visitor.see("#notices >> text=10,000 cancelled so far")
    visitor.page.get_by_role("button", name="Stop", exact=True).click()
    visitor.see("#notices >> text=Stopping …")
    first_of(visitor, waiting).fallback()

    visitor.see("#notices >> text=Cancel all that match: 20,000 cancelled so far; stopped")
    assert [body["filter"].get("before") for body in told if "preview" not in body] == [None, 900]


def test_an_order_that_goes_on_is_told_at_once_and_not_given_twice(
    visit: Visit, stand: Stand
) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    held = hold_orders(visitor, "/jobs/requeue")
    visitor.go("jobs?task=shop.send")
    button = visitor.page.get_by_role("button", name="Requeue all that match", exact=True)
    button.first.click()
    visitor.see("dialog [type=submit]:enabled").click()

    visitor.see("#notices .going >> text=Requeue all that match …")
    eventually(button.first.is_disabled)
    button.first.dispatch_event("click")
    assert visitor.page.locator("dialog").count() == 0
    assert visitor.page.evaluate(LEAVE) is True
    first_of(visitor, held).fallback()

    visitor.see("#notices >> text=Requeue all that match: 9 of 9 jobs")
    eventually(button.first.is_enabled)
    assert visitor.page.evaluate(LEAVE) is False
    assert len([body for _, body in given if "preview" not in body]) == 1


LEAVE = """(() => {
  const event = new Event("beforeunload", { cancelable: true });
  dispatchEvent(event);
  return event.defaultPrevented;
})()"""
"""Whether who leaves the page is asked first."""


def test_who_stops_an_order_in_its_last_step_hears_that_it_is_done(
    visit: Visit, stand: Stand
) -> None:
    visitor = visit()
    answer_orders(visitor)
    held = hold_orders(visitor, "/jobs/cancel")
    visitor.go("jobs?task=shop.send")
    press(visitor, "Cancel all that match")
    visitor.see("dialog [type=submit]:enabled").click()

    visitor.see("#notices .going button").click()
    visitor.see("#notices >> text=Stopping …")
    assert visitor.page.evaluate("document.activeElement.innerText") == "Stopping …"
    first_of(visitor, held).fallback()

    visitor.see("#notices >> text=Cancel all that match: 9 of 9 jobs")
    assert visitor.page.evaluate("document.activeElement.id") == "title"


def test_an_order_that_gets_no_further_says_so(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    said = {"matched": 2, "done": 2, "is_preview": False, "more": True, "next_before": 50}
    visitor.page.route("**/api/v1/jobs/cancel", lambda route: route.fulfill(json=said))
    visitor.go("jobs?task=shop.send")

    press(visitor, "Cancel all that match")
    visitor.see("dialog >> text=It is about at least 4 jobs.")
    visitor.see("dialog [type=submit]").click()

    visitor.see("#notices >> text=4 cancelled so far; there may be more: give the order once more")


def test_a_preview_looks_a_few_times_and_says_so(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    told = answer_in_steps(visitor, "/jobs/cancel", 1000, [1, 1, 1, 1])
    visitor.go("jobs?task=shop.send")

    press(visitor, "Cancel all that match")
    visitor.see("dialog >> text=It is about at least 3 jobs.")

    assert len(told) == 3


def test_a_refused_order_leaves_what_was_chosen(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    held = hold_orders(visitor, "/jobs/cancel")
    visitor.go("jobs?task=shop.send")
    visitor.page.locator("tbody input[type=checkbox]").first.check()
    press(visitor, "Cancel 1 chosen")
    visitor.see("dialog [type=submit]:enabled").click()
    first_of(visitor, held).fulfill(status=503, json={"error": "the database is away"})

    visitor.see("#notices >> text=the database is away")
    for _ in range(2):  # what was loaded by the first of them has been drawn when the second comes
        with visitor.page.expect_response("**/api/v1/jobs?*"):
            pass

    assert visitor.page.get_by_role("button", name="Cancel 1 chosen").count() == 1
    visitor.errors = [error for error in visitor.errors if "status of 503" not in error]


def test_an_order_does_not_search_the_same_jobs_for_ever(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    told: list[Any] = []

    def take(route: Route) -> None:
        told.append(json.loads(route.request.post_data or "{}"))
        answer = {"matched": 0, "done": 0, "is_preview": False, "more": True, "next_before": 50}
        route.fulfill(json=answer)

    visitor.page.route("**/api/v1/jobs/cancel", take)
    visitor.go("jobs?task=shop.send")

    press(visitor, "Cancel all that match")
    visitor.see("dialog >> text=None of the youngest jobs is in a state for it; older ones may be.")

    assert [body["filter"].get("before") for body in told] == [None, 50]


def test_a_preview_says_that_it_is_still_looking(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    answer_in_steps(visitor, "/jobs/cancel", 1000, [0, 0, 4])
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        if body["filter"].get("before") == 800:
            waiting.append(route)
        else:
            route.fallback()

    visitor.page.route("**/api/v1/jobs/cancel", hold)
    visitor.go("jobs?task=shop.send")

    press(visitor, "Cancel all that match")
    visitor.see("dialog >> text=Still looking: no job has been found yet …")
    assert "at least 0" not in visitor.page.locator("dialog").inner_text()
    first_of(visitor, waiting).fallback()

    visitor.see("dialog >> text=It is about 4 jobs.")


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
    assert [(path, body) for path, body in given if "preview" not in body] == [wanted]
    assert all(path == wanted[0] for path, _ in given)


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
