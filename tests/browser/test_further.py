"""Pages and parts of pages that are there where a server has the figures for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.browser.stand import Stand
from tests.browser.test_pages import held_job
from tests.browser.visitor import DESKTOP, PHONE, Visitor

Visit = Callable[..., Visitor]
MB = 10**6


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def reading(seconds: float, slot: int, worker: int, size: float) -> dict[str, Any]:
    held = round(size * MB)
    return {
        "at": ago(seconds),
        "seconds": 10,
        "host": 1,
        "worker": worker,
        "pid": 4000 + worker,
        "role": "worker",
        "pool": "io",
        "slot": slot,
        "jobs": 10,
        "bytes": held,
        "children": 0,
        "low": held,
        "high": held,
        "live": 0,
    }


def readings() -> list[dict[str, Any]]:
    """Of two workers, one of which grows and is replaced five minutes ago."""
    grown = [
        reading(s, 0, 1 if s > 300 else 3, 40 + (900 - s) % 600 / 5) for s in range(890, 0, -10)
    ]
    return grown + [reading(s, 1, 2, 42) for s in range(890, 0, -60)]


WORKER_END = {"worker": 1, "host": 1, "pid": 4001, "pool": "io", "slot": 0}
REPLACED = "holds 160 MB, over its soft limit of 150 MB"
LINE = {
    "job": 1,
    "attempt": 1,
    "level": "warning",
    "logger": "shop",
    "text": "<b>the remote is slow</b>",
    "position": "1.1",
}
REASON = {
    "kind": "resource",
    "text": "waits for repo:debian (exclusive)",
    "jobs": [{"id": 7, "task": "shop.mirror", "state": "running", "since": None, "worker": None}],
}


def further() -> dict[str, Any]:
    """What a server answers that has all there is, by path."""
    server = {
        "version": "16.4 (Debian)",
        "database": "shop",
        "bytes": 5_200 * MB,
        "max_connections": 200,
        "connections": 41,
        "prepared": 0,
        "slots_hold_back": None,
    }
    transaction = {
        "pid": 8123,
        "user_name": "report",
        "application_name": "nightly export",
        "state": "idle in transaction",
        "began_at": ago(7300),
        "seconds": 7300.0,
        "holds_back": 48_211,
    }
    table = {"live": 120_000, "dead": 9_500, "bytes": 310 * MB, "vacuumed_at": ago(50)}
    leak = {
        "pool": "io",
        "task": "shop.sync",
        "source": "canary",
        "bytes": 10_578.0,
        "low": 10_100.0,
        "high": 11_000.0,
        "jobs": 20_000,
        "line": "shop/catalog.py:88",
        "first_at": ago(9000),
        "seen_at": ago(60),
        "recycled": 14,
    }
    entry = {"role": "operator", "address": "127.0.0.1", "action": "queues.pause", "count": 1}
    end = {**WORKER_END, "started_at": ago(900), "ended_at": ago(300), "reason": REPLACED}
    return {
        "/memory": {"points": readings(), "since": ago(890), "truncated": False, "ends": [end]},
        "/database": {
            "server": server,
            "transactions": [transaction],
            "tables": [
                {**table, "name": "queued", "partition_of": None},
                {**table, "name": "history_20261127", "partition_of": "history"},
            ],
            "connections": [
                {"application_name": "taskd worker", "state": "idle", "connections": 8}
            ],
        },
        "/leaks": [leak],
        "/audit": {
            "entries": [{**entry, "id": 3, "at": ago(40), "parameters": {"queue": "mail"}}],
            "next_before": None,
        },
        "/jobs/{id}/log": {
            "lines": [{**LINE, "at": ago(4)}],
            "next_after": "1.1",
            "more": False,
            "is_final": True,
        },
        "/jobs/{id}/why": [REASON],
    }


def answer_further(visitor: Visitor) -> None:
    answers = further()

    def describe(route: Route) -> None:
        document = route.fetch().json()
        for path in answers:
            document["paths"].setdefault(path, {})["get"] = {"parameters": []}
        route.fulfill(json=document)

    for path, answer in answers.items():
        pattern = f"**/api/v1{path.replace('{id}', '*')}*"
        visitor.page.route(pattern, lambda route, _, said=answer: route.fulfill(json=said))
    visitor.page.route("**/api/v1/openapi.json", describe)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_pages_with_further_figures_show_them(visit: Visit, stand: Stand, size: str) -> None:
    visitor = visit(viewport={"desktop": DESKTOP, "phone": PHONE}[size])
    answer_further(visitor)
    wanted = {
        "workers": ("Memory of pool io", f"io/0 ended: {REPLACED}"),
        "database": ("nightly export", "2h 2m", "history_20261127", "5.2 GB"),
        "leaks": ("shop/catalog.py:88", "10 kB"),
        "audit": ("queues.pause", '{"queue":"mail"}'),
    }

    for place, texts in wanted.items():
        visitor.go(place)
        for text in texts:
            visitor.read(text)
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


def test_a_job_shows_its_log_and_why_it_waits(visit: Visit, stand: Stand) -> None:
    ((waiting,),) = stand.project.query("SELECT id FROM taskd.blocked WHERE task = 'shop.mirror'")
    visitor = visit()
    answer_further(visitor)

    visitor.go(f"jobs/{held_job(stand)}")
    visitor.read("<b>the remote is slow</b>")
    visitor.go(f"jobs/{waiting}")
    visitor.read("It waits for repo:debian (exclusive).")

    visitor.page.get_by_role("link", name="job 7").wait_for()


def test_a_server_without_them_has_no_such_pages(visit: Visit, stand: Stand) -> None:
    visitor = visit()

    def describe(route: Route) -> None:
        document = route.fetch().json()
        for path in further():
            document["paths"].pop(path, None)
        route.fulfill(json=document)

    visitor.page.route("**/api/v1/openapi.json", describe)
    visitor.go("leaks")

    visitor.read("Not found")
    menu = visitor.page.get_by_role("navigation", name="Pages of the dashboard").get_by_role("link")
    assert not {"Leaks", "Database", "Audit"} & set(menu.all_inner_texts())
