"""A browser, a shop to look at, and windows on it that must stay free of errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import servers
from tests.browser.stand import Stand, shop
from tests.browser.visitor import Visitor
from tests.conftest import TestServer

CHROMIUM = Path("/usr/bin/chromium")
FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    servers.install("fonts-dejavu-core", FONT)
    servers.install("chromium", CHROMIUM)
    with sync_playwright() as playwright:
        # Its sandbox does not work for root.
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=os.geteuid() != 0
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def stand(embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One shop for all tests of a process: starting one takes seconds."""
    name = embedded_server.create()
    with shop(tmp_path_factory.mktemp("shop"), embedded_server.of(name)) as opened:
        yield opened
    embedded_server.drop(name)


@pytest.fixture
def visit(enter: Callable[..., Visitor], stand: Stand) -> Callable[..., Visitor]:
    """Opens windows on the shop."""

    def visit(url: str = stand.url, **options: Any) -> Visitor:
        return enter(url, **options)

    return visit


@pytest.fixture
def enter(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens windows; none may have met an error at the end."""
    visitors: list[Visitor] = []

    def enter(url: str, **options: Any) -> Visitor:
        visitors.append(Visitor.enter(browser, url, **options))
        return visitors[-1]

    yield enter
    for visitor in visitors:
        visitor.leave()
    assert [error for visitor in visitors for error in visitor.errors] == []
