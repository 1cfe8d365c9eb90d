"""What the pages show of what is seldom in a shop: what they are told is answered here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Route

from tests.browser.stand import Stand
from tests.browser.test_further import ago
from tests.browser.test_orders import answer_orders
from tests.browser.test_pages import held_job, places_of_one
from tests.browser.visitor import DESKTOP, PHONE, Visitor
from tests.waiting import eventually

Visit = Callable[..., Visitor]

TEXT = "document.querySelector('.stack pre')"
OPENED = f"""
new Promise((tell) => {{
  const details = document.querySelector('details.card');
  const read = () => {{
    const shown = {TEXT}.scrollTop;
    {TEXT}.scrollTop = 30;
    tell(shown);
  }};
  details.addEventListener('toggle', () => setTimeout(read), {{ once: true }});
  details.open = true;
}})
"""
"""Where the text of a stack stands once it is opened; then somebody reads on from elsewhere."""


def answer(visitor: Visitor, path: str, said: Any) -> None:
    """Let the server answer a path so."""
    visitor.page.route(f"**/api/v1{path}", lambda route: route.fulfill(json=said))
    visitor.page.route(f"**/api/v1{path}?*", lambda route: route.fulfill(json=said))


def test_an_address_that_is_no_encoding_is_taken_as_it_is(visit: Visit) -> None:
    visitor = visit().go("jobs/%")

    visitor.read("id: '%' is no whole number")
    assert visitor.see("h1").inner_text() == "Job %"
    visitor.errors = [error for error in visitor.errors if "status of 400" not in error]


def figures(name: str, cpu: float, growth: int, started: int = 4) -> dict[str, Any]:
    runs = {"count": 4, "mean": 1.0, "p50": 0.9, "p95": 1.5, "p99": 1.6}
    counts = dict.fromkeys(("failed", "cancelled", "retried", "lost", "returned"), 0)
    return {
        **counts,
        "name": name,
        "seconds": 900,
        "jobs_per_second": 0.1,
        "started": started,
        "succeeded": 4,
        "failure_rate": 0.0,
        "cpu_seconds": cpu,
        "memory_growth": growth,
        "run": runs,
        "wait_for_worker": runs,
        "wait_for_resources": runs,
    }


def test_the_hungriest_task_comes_first_if_it_is_asked_for(visit: Visit, stand: Stand) -> None:
    rows = [
        figures("shop.fetch", 0.4, 4 * 2**10, started=9),
        figures("shop.sync", 8.0, 0),
        figures("shop.report", 2.0, 12 * 10**6),
    ]
    visitor = visit()
    answer(visitor, "/stats", {"by": "task", "rows": rows})
    first = "tbody tr:first-child"

    visitor.go("tasks")
    visitor.see(f"{first} >> text=shop.fetch")
    visitor.page.get_by_role("link", name="Hungriest for CPU first").click()
    visitor.see(f"{first} >> text=shop.sync")
    assert visitor.see(f"{first} td[data-label='CPU a job']").inner_text() == "2 s\n8 s in all"
    visitor.page.get_by_role("link", name="Hungriest for memory first").click()

    visitor.see(f"{first} >> text=shop.report")
    assert visitor.see(f"{first} td[data-label='memory a job']").inner_text() == "3 MB"
    assert "first=memory" in visitor.page.url


def test_docstrings_show_code_as_code_and_pools_stay_on_their_line(visit: Visit) -> None:
    visitor = visit().go("tasks")

    visitor.see("summary code >> text=cure")
    assert "`" not in visitor.see("main").inner_text()
    pools = visitor.see("td[data-label=queue] >> text=cpu, io")
    assert pools.evaluate("each => each.getClientRects().length") == 1


SENTENCE = "queue sync: 40 jobs could run, 12 slots are free, nothing started for 1m, because …"


def test_a_stall_is_told_with_why_and_what_to_do(visit: Visit) -> None:
    stall = {"queue": "sync", "requires": None, "is_overdue": False, "text": SENTENCE}
    stall["remedy"] = "`kill -USR2` to a master tells more"
    overdue = {**stall, "is_overdue": True, "text": "queue sync: jobs have been due for 2m"}
    visitor = visit()
    answer(visitor, "/stalls", {"stalls": [stall, overdue]})

    visitor.go("overview")

    visitor.read(SENTENCE)
    visitor.read("What to do:")
    visitor.see("main code >> text=kill -USR2")
    links = visitor.page.get_by_role("link", name="Queue sync").all()
    states = [(link.get_attribute("href") or "").partition("state=")[2] for link in links]
    assert states == ["queued", "scheduled"]


def test_no_stall_is_told_where_there_is_none(visit: Visit) -> None:
    visitor = visit()
    answer(visitor, "/stalls", {"stalls": []})

    visitor.go("overview")

    visitor.read("None: wherever jobs could run and slots are free, jobs begin.")


def test_what_a_whole_queue_does_stands_in_the_first_of_its_rows(visit: Visit) -> None:
    part = {"queue": "sync", "paused": False, "offered": True, "scheduled": 0, "blocked": 0}
    part |= {"running": 1, "is_exact": True, "queued_seconds": 3.0}
    rows = [
        {**part, "requires": None, "queued": 100, "runnable": 100},
        {**part, "requires": "2.0", "queued": 300, "runnable": 300},
    ]
    visitor = visit()
    answer(visitor, "/stats", {"by": "queue", "rows": [{**figures("sync", 0, 0)}]})
    moment = json.dumps({"queues": rows, "workers": 1, "at": ago(0)})
    visitor.page.route(
        "**/api/v1/live",
        lambda route: route.fulfill(
            content_type="text/event-stream", body=f"event: overview\ndata: {moment}\n\n"
        ),
    )

    visitor.go("queues")

    visitor.until("document.querySelectorAll('tbody tr').length === 2")
    told = visitor.page.locator("td[data-label='drained in'], td[data-label=rate]")
    eventually(lambda: told.all_inner_texts() == ["6/min", "1h 7m", "", ""])


def test_headers_that_sort_stand_over_their_columns(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("schedules")

    left = "each => each.getBoundingClientRect().left"
    words = """each => { const range = document.createRange(); range.selectNode(each.firstChild);
      return range.getBoundingClientRect().left; }"""
    header = visitor.see("th button.sorts").evaluate(words)

    assert abs(header - visitor.see("tbody td .cell").evaluate(left)) < 0.6


AXES = """[...document.querySelectorAll(".chart")].map((each) => {
  const box = (node) => node.getBoundingClientRect();
  const levels = [...each.querySelectorAll(".level")].map(box);
  return levels.length === 3 && box(each).left < Math.min(...levels.map(({ left }) => left))
    && Math.max(...levels.map(({ right }) => right)) <= box(each.querySelector("svg")).left;
})"""
"""Of each chart, whether what names its axis stands within it and beside its curves."""


def test_axes_are_named_beside_the_curves(visit: Visit) -> None:
    for viewport in (DESKTOP, PHONE):
        visitor = visit(viewport=viewport).go("overview")
        visitor.see("#throughput svg")
        assert set(visitor.page.evaluate(AXES)) == {True}


def test_a_job_leads_to_its_worker_and_that_to_its_jobs(visit: Visit, stand: Stand) -> None:
    job, worker = places_of_one(stand)
    visitor = visit().go(job)

    visitor.read("of memory")
    visitor.page.locator(f"main a[href='#/{worker}']").click()
    visitor.page.get_by_role("link", name="Jobs that it has, or had last").click()

    visitor.until("location.hash.startsWith('#/jobs?worker=')")
    visitor.page.get_by_role("link", name=str(held_job(stand)), exact=True).wait_for()


def test_a_job_that_has_ended_tells_nothing_of_what_its_worker_holds(
    visit: Visit, stand: Stand
) -> None:
    job = stand.enqueue("shop.fetch", "https://example.org/held")
    stand.wait_until(job, "succeeded")
    visitor = visit().go(f"jobs/{job}")

    visitor.see("dd a[href^='#/workers/']")

    assert visitor.page.get_by_text("Its worker holds").count() == 0


def test_jobs_of_a_worker_are_found_by_its_name(visit: Visit, stand: Stand) -> None:
    _, worker = places_of_one(stand)
    visitor = visit().go("workers")
    row = visitor.page.locator("tr", has=visitor.page.locator(f"a[href='#/{worker}']"))
    name = row.locator("a").first.inner_text()
    visitor.go("jobs")

    visitor.page.locator("summary", has_text="More").click()
    field = visitor.page.get_by_label("Worker", exact=True)
    field.fill(name)
    visitor.press("Enter")

    visitor.until(f"location.hash === '#/jobs?{worker.replace('workers/', 'worker=')}'")
    visitor.page.get_by_role("link", name=str(held_job(stand)), exact=True).wait_for()
    eventually(lambda: field.input_value().startswith(f"{name} on "))


def test_a_name_that_several_workers_have_is_not_taken_for_one(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    (host,) = visitor.page.request.get(f"{visitor.url}/api/v1/workers").json()
    others = [{**each, "worker": 7} for each in host["processes"] if each["worker"]]
    twin = {**host, "id": host["id"] + 1, "name": "twin", "processes": others[:1]}
    answer(visitor, "/workers", [host, twin])
    visitor.go("jobs")
    visitor.page.locator("summary", has_text="More").click()
    option = visitor.page.locator("#names-workers option[value*=' on twin']")
    option.wait_for(state="attached")
    full = option.get_attribute("value") or ""
    field = visitor.page.get_by_label("Worker", exact=True)

    field.fill(full.partition(" on ")[0])
    visitor.press("Enter")
    why = "each => each.validationMessage"
    eventually(lambda: field.evaluate(why) == "Several workers are named so: choose one.")
    field.fill(full)
    visitor.press("Enter")

    visitor.until("location.hash === '#/jobs?worker=7'")


def test_the_jobs_of_a_worker_that_runs_none_are_no_link(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("workers")
    cells = "td[data-label='running jobs']"

    hrefs = [each.get_attribute("href") for each in visitor.page.locator(f"{cells} a").all()]
    assert hrefs
    assert all("state=running" in (href or "") for href in hrefs)
    assert visitor.page.locator(f"{cells} a", has_text="0").count() == 0


def test_who_orders_a_host_that_has_ended_hears_so(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    answer_orders(visitor)
    refused = {"error": "no host 7 lives"}
    visitor.page.route("**/drain", lambda route: route.fulfill(status=404, json=refused))
    visitor.go("workers")
    visitor.page.get_by_role("button", name="Drain all").click()
    assert ", pid " in visitor.see("dialog h2").inner_text()
    visitor.see("dialog [type=submit]").click()

    visitor.see("#notices >> text=no host 7 lives")
    visitor.errors = [error for error in visitor.errors if "status of 404" not in error]


def test_a_host_is_busy_while_a_worker_of_it_is(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("workers")

    visitor.see("h2 .badge.busy")
    assert visitor.page.locator("h2 .badge.idle").count() == 0


def test_one_worker_or_all_of_a_host_are_drained_or_stopped(visit: Visit, stand: Stand) -> None:
    visitor = visit()
    given = answer_orders(visitor)
    _, worker = places_of_one(stand)
    visitor.go("workers")
    row = visitor.page.locator("tr", has=visitor.page.locator(f"a[href='#/{worker}']"))

    for button in (
        row.get_by_role("button", name="Stop"),
        visitor.page.get_by_role("button", name="Drain all"),
        visitor.page.get_by_role("button", name="Stop all"),
    ):
        visitor.dismiss_notices()
        button.click()
        visitor.see("dialog [type=submit]").click()
        visitor.see("#notices .done")

    paths = [path for path, _ in given]
    assert paths[0] == f"/{worker}/stop"
    ((host,),) = stand.project.query("SELECT id FROM taskd.host WHERE ended_at IS NULL")
    assert paths[1:] == [f"/hosts/{host}/drain", f"/hosts/{host}/stop"]
    assert visitor.see("#notices .done").inner_text().startswith("3 workers of ")


def test_the_next_slots_of_a_schedule_are_told(visit: Visit, stand: Stand) -> None:
    visitor = visit()

    def add_slots(route: Route) -> None:
        rows = route.fetch().json()
        slots = [ago(-(3600 * n + 30)) for n in (1, 2, 3)]
        route.fulfill(json=[{**row, "next_at": slots[0], "next_slots": slots} for row in rows])

    visitor.page.route("**/api/v1/schedules", add_slots)

    visitor.go("schedules")

    told = visitor.see("td[data-label='next slots']").inner_text()
    assert [line.strip() for line in told.split("\n")] == ["in 1h", "in 2h", "in 3h"]


def resource(name: str) -> dict[str, Any]:
    rest = dict.fromkeys(("units", "rate", "since", "retry_at"))
    counts = {"used": 1, "waiting": 0, "holders_found": 0, "hidden_units": 0}
    return {**rest, **counts, "name": name, "holders": [], "first": []}


def test_a_list_that_tells_where_the_others_begin_leads_there(visit: Visit) -> None:
    visitor = visit()

    def page(route: Route) -> None:
        is_first = "after=" not in route.request.url
        name, further = ("repo:first", "beyond") if is_first else ("repo:second", None)
        route.fulfill(json={"resources": [resource(name)], "next": further})

    visitor.page.route("**/api/v1/resources?*", page)
    visitor.go("resources")
    visitor.see("tbody tr >> text=repo:first")

    visitor.page.get_by_role("link", name="Show the next 200").click()
    visitor.see("tbody tr >> text=repo:second")
    assert "after=beyond" in visitor.page.url
    visitor.page.get_by_role("link", name="Show from the first on").click()

    visitor.see("tbody tr >> text=repo:first")


def test_limits_are_named_for_people(visit: Visit) -> None:
    visitor = visit()
    rows = [resource("@key stripe"), resource("repo:first")]
    said = {"resources": rows, "next": None}
    visitor.page.route("**/api/v1/resources?*", lambda route: route.fulfill(json=said))

    visitor.go("resources")

    visitor.see("tbody tr >> text=stripe")
    assert "@key" not in visitor.see("main").inner_text()
    assert visitor.see("tbody td .cell").inner_text().split() == ["limit", "stripe"]
    assert visitor.page.get_by_role("link", name="Show").count() == 0


def test_a_place_of_an_earlier_server_leads_to_the_first_page(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("resources?after=forgotten")

    visitor.page.get_by_role("link", name="Show from the first on").click()

    visitor.see("tbody tr")
    assert "after" not in visitor.page.url
    visitor.errors = [error for error in visitor.errors if "status of 400" not in error]


def test_a_worker_that_ended_of_its_memory_is_drawn_up_to_that(visit: Visit, stand: Stand) -> None:
    of_one = {"worker": 7, "pool": "gone", "slot": 0, "host": 1}
    point = {**of_one, "seconds": 10, "bytes": 40 * 10**6, "high": 80 * 10**6}
    end = {**of_one, "started_at": ago(590), "ended_at": ago(300), "reason": "too large"}
    points = [{**point, "at": ago(590), "high": 50 * 10**6}, {**point, "at": ago(400)}]
    visitor = visit()
    told = {"points": points, "since": points[0]["at"], "truncated": False, "ends": [end]}
    answer(visitor, "/memory", told)

    visitor.go("workers")

    assert visitor.see("#memory-gone .legend b").inner_text() == "ended"
    told = visitor.see("#memory-gone .plot").get_attribute("aria-label") or ""
    assert "gone/0: ended, 80 MB at most" in told


def test_a_curve_says_from_when_on_there_are_readings(visit: Visit, stand: Stand) -> None:
    of_one = {"worker": 7, "pool": "io", "slot": 0, "host": 1, "bytes": 10**7, "high": 10**7}
    points = [{**of_one, "at": ago(s), "seconds": 60 if s > 400 else 10} for s in (590, 500, 300)]
    told = {"points": points, "since": points[0]["at"], "ends": [], "truncated": False}
    visitor = visit()

    answer(visitor, "/memory", told)
    visitor.go("workers")
    visitor.read(" on, and none from before. Up to ")
    visitor.read(" each is the mean of 1m.")
    visitor.page.unroute_all()
    answer(visitor, "/memory", {**told, "truncated": True})

    visitor.go("workers?last=6h")
    visitor.read("Only the youngest 3 readings are shown, from ")


@dataclass
class LongStack:
    """A worker on whose page one stack scrolls: that of a job, or of taskd itself."""

    visitor: Visitor
    job: int | None = 4711
    depth: int = 80

    def open(self) -> None:
        told = {"worker": "io/7", "pool": "io", "slot": 7, "pid": 7, "host": "web1", "note": ""}
        self.visitor.page.route(
            "**/api/v1/workers/7/stacks",
            lambda route: route.fulfill(json={**told, "stacks": [self.stack()]}),
        )
        self.visitor.go("workers/7")

    def stack(self) -> dict[str, Any]:
        frame = {"file": "shop.py", "line": 1, "code": ""}
        frames = [{**frame, "function": f"at{n}"} for n in range(self.depth)]
        told = {"task": self.job and "shop.fetch", "seconds": 2.5, "who": "hub", "runs": False}
        return {**told, "job": self.job, "frames": frames}

    def becomes(self, depth: int) -> None:
        self.depth = depth
        self.visitor.until(f"{TEXT}.textContent.endsWith('in at{depth - 1}')")

    def ends(self) -> None:
        """Wait until its end is shown."""
        shown = f"{TEXT}.scrollTop + {TEXT}.clientHeight + 2 >= {TEXT}.scrollHeight"
        self.visitor.until(f"{TEXT}.scrollTop > 0 && {shown}")


def test_a_long_stack_shows_its_innermost_call_unless_somebody_reads_elsewhere(
    visit: Visit,
) -> None:
    stack = LongStack(visit())

    stack.open()
    stack.ends()
    stack.becomes(81)
    stack.ends()
    stack.visitor.page.evaluate(f"{TEXT}.scrollTop = 30")
    stack.becomes(82)

    assert stack.visitor.page.evaluate(f"{TEXT}.scrollTop") == 30


def test_a_stack_that_got_shorter_for_a_while_still_shows_its_innermost_call(
    visit: Visit,
) -> None:
    stack = LongStack(visit())

    stack.open()
    stack.ends()
    for depth in (60, 5):
        stack.becomes(depth)
        stack.becomes(80)
        stack.ends()


def test_a_stack_that_is_opened_shows_its_innermost_call_at_once(visit: Visit) -> None:
    stack = LongStack(visit(), job=None)
    stack.open()
    stack.visitor.see("details summary")
    stack.becomes(81)

    assert stack.visitor.page.evaluate(OPENED) > 0
    stack.becomes(82)
    assert stack.visitor.page.evaluate(f"{TEXT}.scrollTop") == 30


def test_tables_are_cut_behind_the_order_that_is_asked_for(visit: Visit, stand: Stand) -> None:
    visitor = visit().go("database")
    first = "#tables tbody tr:first-child code"
    visitor.page.get_by_role("link", name="Show all").click()
    visitor.until("document.querySelectorAll('#tables tbody tr').length > 25")
    names = visitor.page.locator("#tables tbody tr td:first-child code").all_inner_texts()
    visitor.page.get_by_role("link", name="Show the first 25").click()
    visitor.until("document.querySelectorAll('#tables tbody tr').length === 25")

    visitor.page.locator("#tables th button", has_text="table").click()
    visitor.page.mouse.move(0, 0)

    least = visitor.page.evaluate("names => names.sort((a, b) => a.localeCompare(b))[0]", names)
    eventually(lambda: visitor.see(first).inner_text() == least)
