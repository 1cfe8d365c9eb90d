"""Who may give orders to the dashboard: tokens, sessions, pages of ours."""

from __future__ import annotations

from typing import Any

import pytest

from taskd.web.access import Access, AccessRefused, Address, Role
from taskd.web.gate import Gate
from taskd.web.sessions import SESSION_SECONDS, Sessions

OPERATORS = "operators-0123456789"
READERS = "readers-9876543210"
HOST = {"HTTP_HOST": "jobs.example:8080"}
OURS = {**HOST, "HTTP_ORIGIN": "http://jobs.example:8080"}
LOCAL = {"HTTP_HOST": "127.0.0.1:8080", "HTTP_ORIGIN": "http://127.0.0.1:8080"}


def gate() -> Gate:
    return Gate(Access(OPERATORS, READERS))


def with_session(at: Gate, token: str) -> dict[str, str]:
    """The headers of a page that has begun a session, with its proof."""
    caller, cookie = at.begin(OURS, token)
    assert cookie is not None
    return {**OURS, "HTTP_COOKIE": cookie.partition(";")[0], "HTTP_X_TASKD_CSRF": caller.csrf}


def refusal(ask: Any, environ: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(AccessRefused) as refused:
        ask(environ)
    return refused.value.status, str(refused.value)


def test_an_operators_token_gives_orders_without_more() -> None:
    environ = {**HOST, "HTTP_AUTHORIZATION": f"Bearer {OPERATORS}", "REMOTE_ADDR": "10.0.0.9"}

    caller = gate().let_order(environ)

    assert (caller.role, caller.address, caller.csrf) == (Role.OPERATOR, "10.0.0.9", "")


def test_a_reader_reads_and_gives_no_orders() -> None:
    at = gate()
    shown = {**HOST, "HTTP_AUTHORIZATION": f"Bearer {READERS}"}

    for environ in (shown, with_session(at, READERS)):
        assert at.let_ask(environ).role is Role.READER
        assert refusal(at.let_order, environ)[0] == 403


def test_a_session_orders_from_a_page_of_ours_that_shows_its_proof() -> None:
    at = gate()
    page = with_session(at, OPERATORS)

    assert at.let_order(page).role is Role.OPERATOR
    for name, value in (
        ("HTTP_X_TASKD_CSRF", ""),
        ("HTTP_X_TASKD_CSRF", with_session(at, OPERATORS)["HTTP_X_TASKD_CSRF"]),
        ("HTTP_ORIGIN", ""),
        ("HTTP_ORIGIN", "null"),
        ("HTTP_ORIGIN", "http://evil.example"),
        ("HTTP_ORIGIN", "http://jobs.example:8081"),
    ):
        assert refusal(at.let_order, {**page, name: value})[0] == 403


def test_a_session_that_was_forged_or_ended_or_is_old_is_none() -> None:
    now = [1000.0]
    sessions = Sessions(Access(OPERATORS, READERS), lambda: now[0])
    session, cookie = sessions.begin(Role.READER)

    assert sessions.find(cookie) == session
    assert sessions.find(cookie.replace("reader", "operator")) is None
    assert sessions.find(cookie[:-1] + ("0" if cookie[-1] != "0" else "1")) is None
    assert sessions.find("none.9999999999.x.y") is None
    assert sessions.find("operator.²³.x.y") is None  # digits, and no number
    now[0] += SESSION_SECONDS
    assert sessions.find(cookie) is None
    now[0] -= 1
    sessions.end(session)
    assert sessions.find(cookie) is None


def test_a_session_holds_at_each_server_with_the_same_tokens_and_ends_with_its_token() -> None:
    page = with_session(gate(), OPERATORS)

    assert gate().let_order(page).role is Role.OPERATOR
    assert gate().caller({**page, "HTTP_HOST": "jobs.example"}).role is Role.NONE
    assert Gate(Access(READERS + "-new", READERS)).caller(page).role is Role.NONE


def test_where_no_token_is_needed_a_page_elsewhere_still_orders_nothing() -> None:
    at = Gate(Access(None))
    csrf = at.caller(LOCAL).csrf

    assert at.let_order({**LOCAL, "HTTP_X_TASKD_CSRF": csrf}).role is Role.OPERATOR
    assert refusal(at.let_order, LOCAL)[0] == 403
    evil = {**LOCAL, "HTTP_X_TASKD_CSRF": csrf, "HTTP_ORIGIN": "http://evil.example"}
    assert refusal(at.let_order, evil)[0] == 403
    assert refusal(at.caller, {**LOCAL, "HTTP_HOST": "evil.example"})[0] == 403


def test_a_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    at = gate()
    _, plain = at.begin(OURS, OPERATORS)
    _, secure = at.begin({**OURS, "HTTP_ORIGIN": "https://jobs.example:8080"}, OPERATORS)

    assert plain is not None
    assert secure is not None
    assert plain.startswith("taskd_session_8080=operator.")
    assert {"HttpOnly", "SameSite=Strict"} <= set(plain.split("; "))
    assert secure.endswith("; Secure")
    assert OPERATORS not in plain


def test_a_wrong_token_begins_no_session() -> None:
    assert refusal(lambda environ: gate().begin(environ, OPERATORS[:-1]), OURS)[0] == 401
    assert refusal(lambda environ: gate().begin(environ, OPERATORS), HOST)[0] == 403


def test_other_cookies_however_odd_hide_none_of_ours() -> None:
    at = gate()
    page = with_session(at, OPERATORS)

    odd = {**page, "HTTP_COOKIE": f'a={{"b": 1}}; x; {page["HTTP_COOKIE"]} ; c=d'}
    assert at.caller(odd).role is Role.OPERATOR


def test_tokens_of_readers_need_one_of_operators_that_is_another() -> None:
    local = Address("127.0.0.1", 8080)

    assert Access.of(local, OPERATORS, READERS).reader_token == READERS
    with pytest.raises(ValueError, match="give operators one"):
        Access.of(local, None, READERS)
    with pytest.raises(ValueError, match="the same token"):
        Access.of(local, OPERATORS, OPERATORS)
    with pytest.raises(ValueError, match="the reader's token is shorter"):
        Access.of(local, OPERATORS, "tiny")
