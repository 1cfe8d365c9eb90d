"""Somebody who looks at the pages, and notes what a person would not see: errors, other hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request

from tests.waiting import eventually

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SECONDS = 15.0


@dataclass
class Visitor:
    """A window on the dashboard. `errors` holds what the console tells, and requests elsewhere."""

    url: str
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)

    @classmethod
    def enter(cls, browser: Browser, url: str, **options: Any) -> Visitor:
        """Open a window with the cookies of nobody; `options` as Browser.new_context has them."""
        usual: dict[str, Any] = {"viewport": DESKTOP, "locale": "en-GB", "color_scheme": "light"}
        context = browser.new_context(**{**usual, **options})
        context.set_default_timeout(SECONDS * 1000)
        visitor = cls(url, context, context.new_page())
        visitor.page.on("console", visitor.hear)
        visitor.page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        visitor.page.on("request", visitor.watch)
        return visitor

    def hear(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} ({url})")

    def watch(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.errors.append(f"a request to {request.url}")

    def go(self, place: str) -> Visitor:
        """Go to a page by its address, and wait until it shows more than that it loads."""
        self.page.goto(f"{self.url}/#/{place}")
        self.see("h1")
        self.until("!document.querySelector('main').innerText.includes('Loading …')")
        return self

    def until(self, expression: str) -> None:
        """Wait until an expression is true in the page, whose policy lets it evaluate none."""
        eventually(lambda: self.page.evaluate(expression), SECONDS)

    def see(self, selector: str) -> Locator:
        """The first such thing, once it is there."""
        found = self.page.locator(selector).first
        found.wait_for()
        return found

    def read(self, text: str) -> Locator:
        """Wait until the page says something."""
        found = self.page.locator("main").get_by_text(text).filter(visible=True).first
        found.wait_for()
        return found

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def dismiss_notices(self) -> None:
        """Dismiss what is told at the page's edge."""
        buttons = "document.querySelectorAll('#notices .toast:not(.going) button')"
        self.page.evaluate(f"{buttons}.forEach(each => each.click())")

    def leave_the_list(self) -> None:
        """Point at nothing, and have the focus nowhere: what was held still goes on."""
        self.page.mouse.move(0, 0)
        self.page.evaluate("document.activeElement.blur()")

    def leave(self) -> None:
        self.context.close()
