"""Where a token is needed the pages ask for it, and keep nothing that a script could read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.browser.stand import Stand, dashboard
from tests.browser.test_pages import keep
from tests.browser.visitor import Visitor

TOKEN = "a-token-of-forty-characters-0123456789ab"


def test_the_token_is_asked_for_and_opens_all_pages(
    visit: Callable[..., Visitor], stand: Stand, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with dashboard(stand.project, "--token-file", str(file)) as url:
        visitor = visit(url)
        visitor.go("queues")
        token = visitor.page.get_by_label("Token")
        sign_in = visitor.page.get_by_role("button", name="Sign in")
        keep(visitor, "sign-in")
        middle = "(({left, right}) => (left + right) / 2)(%s.getBoundingClientRect())"
        card, page = (middle % f"document.querySelector('{each}')" for each in (".signin", "html"))
        assert visitor.page.evaluate(f"Math.abs({card} - {page})") < 1

        token.fill(TOKEN[:-1])
        sign_in.click()
        visitor.see("[role=alert]:not(:empty)")
        token.fill(TOKEN)
        sign_in.click()

        visitor.read("default")
        kept = visitor.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert TOKEN not in kept + visitor.page.evaluate("document.cookie") + visitor.page.url
        visitor.page.get_by_role("button", name="Sign out").click()
        visitor.see("text=Token")
        # The browser notes each refusal of the server, such as that of the wrong token.
        visitor.errors = [each for each in visitor.errors if "Failed to load resource" not in each]
        visitor.leave()
