"""Schemathesis asks the API whatever its description allows: no answer may differ from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from taskd.store import connect, hosts
from taskd.tasks.options import DEFAULTS
from taskd.tasks.publish import describe
from taskd.web.openapi import describe_api
from tests.conftest import TestServer
from tests.store.asking import API, site
from tests.store.makers import add_host, add_jobs
from tests.store.test_web_metrics import work

pytestmark = pytest.mark.one_server
TOKEN = {"Authorization": "Bearer 0123456789abcdef"}


@pytest.fixture(scope="module")
def described(embedded_server: TestServer) -> Iterator[object]:
    """The API as it describes itself, on a database that holds something of each kind."""
    name = embedded_server.create()
    dsn = embedded_server.of(name)
    with closing(connect.connect(dsn)) as connection:
        work(connection)
        host = add_host(connection)
        hosts.publish_tasks(connection, host, "io", [describe("shop.sync", add_jobs, DEFAULTS)])
    with site(dsn, TOKEN["Authorization"].removeprefix("Bearer ")) as web:
        yield schemathesis.openapi.from_wsgi(f"{API}/openapi.json", web.app, headers=TOKEN)
        assert [str(event) for event in web.told] == []
    embedded_server.drop(name)


ENDLESS = "/live"
DESCRIBED = describe_api(has_token=True)["paths"]
PATHS = {
    path: each["get"]["parameters"]
    for path, each in DESCRIBED.items()
    if "get" in each and path != ENDLESS
}
ORDERS = [
    (path, mode)
    for path, each in DESCRIBED.items()
    if "post" in each
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or "requestBody" in each["post"]
]
CASES = [(path, GenerationMode.POSITIVE) for path in PATHS] + [
    (path, GenerationMode.NEGATIVE) for path, parameters in PATHS.items() if parameters
]


@pytest.mark.parametrize(("path", "mode"), CASES)
def test_the_answers_are_as_described(described: Any, path: str, mode: GenerationMode) -> None:
    operation = described[path]["GET"]

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(max_examples=12, deadline=None)
    def ask(case: schemathesis.Case) -> None:
        # A schema cannot say that 91d is longer than what is kept: such values are refused, too.
        case.call_and_validate(headers=TOKEN, excluded_checks=[positive_data_acceptance])

    ask()


@pytest.mark.parametrize(("path", "mode"), ORDERS)
def test_orders_are_answered_as_described(described: Any, path: str, mode: GenerationMode) -> None:
    operation = described[path]["POST"]

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(max_examples=12, deadline=None)
    def order(case: schemathesis.Case) -> None:
        # Nor can it say that ids and a filter exclude each other.
        case.call_and_validate(headers=TOKEN, excluded_checks=[positive_data_acceptance])

    order()
