"""The pages about the dashboard say what it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from taskd.web.bodies import read_body
from taskd.web.detail_routes import DETAIL_ROUTES
from taskd.web.order_routes import ORDERS, Order
from taskd.web.routes import ROUTES
from tests.unit.configuration import Folder

DOCS = Path(__file__).parents[2] / "docs"
HOW_TO = (DOCS / "how-to/dashboard.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference/http.md").read_text(encoding="utf-8")
CURLS = re.findall(r"^curl .*\$A/(\S+)(?: -d '(.*)')?$", HOW_TO, re.MULTILINE)


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", HOW_TO, re.DOTALL))
def test_the_configurations_of_the_page_load(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Folder(tmp_path).load(example).dashboard.listen


def order_at(path: str) -> Order | None:
    for order in ORDERS:
        if re.fullmatch(re.sub(r"<\w+:path>", ".+", order.path), f"/{path}"):
            return order
    return None


@pytest.mark.parametrize(("path", "body"), CURLS)
def test_the_requests_of_the_page_are_understood(path: str, body: str) -> None:
    order = order_at(path)

    if order is None:
        assert f"/{path}" in [route.path for route in DETAIL_ROUTES]
    else:
        read_body(order.members, json.loads(body or "{}"))


def test_the_page_has_an_order_and_a_question() -> None:
    assert [order_at(path) is not None for path, _ in CURLS] == [True, True, False]


def named(path: str) -> str:
    """A path as the reference writes it: of several words in its last place the first is whole."""
    return re.sub(r"<(\w+)(:path)?>", lambda found: "ID" if found[1] == "id" else "NAME", path)


@pytest.mark.parametrize("path", [route.path for route in (*ROUTES, *DETAIL_ROUTES)])
def test_the_reference_names_every_question(path: str) -> None:
    whole, last = named(path), named(path).rpartition("/")[2]

    assert f"`/api/v1{whole}`" in REFERENCE or f"`{last}`" in REFERENCE


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.path)
def test_the_reference_names_every_order_and_what_it_may_say(order: Order) -> None:
    parent, _, last = named(order.path).rpartition("/")
    rows = [line for line in REFERENCE.splitlines() if f"`/api/v1{parent}/" in line]

    assert any(f"`/api/v1{parent}/{last}`" in row or f"`{last}`" in row for row in rows)
    for member in order.members:
        assert f"`{member.name}`" in REFERENCE
