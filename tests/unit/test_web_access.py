from __future__ import annotations

import pytest

from taskd.web.access import Access, AccessRefused, Address

TOKEN = "0123456789abcdef"
LOCAL = Address("127.0.0.1", 8080)
OPEN = Address("0.0.0.0", 8080)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:8080", "::1", 8080, True),
        (":8080", "0.0.0.0", 8080, False),
        ("10.0.0.7:80", "10.0.0.7", 80, False),
        ("jobs.example:80", "jobs.example", 80, False),
    ],
)
def test_an_address_is_a_host_and_a_port(
    text: str, host: str, port: int, is_loopback: bool
) -> None:
    address = Address.parse(text)

    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "::1:8080", "a:b", "a:70000", "a:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as"):
        Address.parse(text)


def test_an_address_that_others_reach_needs_a_token() -> None:
    assert Access.of(LOCAL, None).token is None
    assert Access.of(OPEN, TOKEN).token == TOKEN
    with pytest.raises(ValueError, match=r"can be reached from other machines, so a token"):
        Access.of(OPEN, None)


@pytest.mark.parametrize("token", ["", "tiny", "0123456789 abcdef", "0123456789abcdéf"])
def test_a_token_that_can_be_guessed_or_that_no_header_carries_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token") as refused:
        Access.of(LOCAL, token)

    assert not token or token not in str(refused.value)


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}"])
def test_who_shows_the_token_may_ask_whatever_name_he_asks_for(header: str) -> None:
    Access(TOKEN).check({"HTTP_AUTHORIZATION": header, "HTTP_HOST": "jobs.example"})


@pytest.mark.parametrize(
    "header",
    [
        "",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \xff",
    ],
)
def test_who_does_not_show_it_may_not(header: str) -> None:
    with pytest.raises(AccessRefused) as refused:
        Access(TOKEN).check({"HTTP_AUTHORIZATION": header, "HTTP_HOST": "127.0.0.1"})

    assert refused.value.status == 401


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "127.9.9.9:1"])
def test_without_a_token_this_machine_is_answered(host: str) -> None:
    Access(None).check({"HTTP_HOST": host})


@pytest.mark.parametrize("host", ["", "evil.example:8080", "localhost.evil.example", "10.0.0.7"])
def test_without_a_token_no_other_name_is_answered(host: str) -> None:
    with pytest.raises(AccessRefused) as refused:
        Access(None).check({"HTTP_HOST": host})

    assert refused.value.status == 403


def test_a_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(Access(TOKEN))
