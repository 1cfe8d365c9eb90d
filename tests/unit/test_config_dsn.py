from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.config.dsn import check_dsn, mask_dsn

GOOD = [
    "postgresql://",
    "postgres://localhost/shop",
    "postgresql://taskd:p%40ss@db.example:5432/shop?sslmode=require",
    "postgresql://taskd:a?b@db.example/shop",
    "postgresql://a:1,b:2/shop?target_session_attrs=read-write",
    "postgresql://[::1]:5432/shop",
    "postgresql:///shop?host=/var/run/postgresql",
    "host=/tmp/pg port=5432 user=taskd",
    "host = db password = 'with \\' quote and space' dbname=shop",
    "password=it's dbname=shop",
    "dbname=",
]


@pytest.mark.parametrize("dsn", GOOD)
def test_uri_or_row_of_words_is_a_connection_string(dsn: str) -> None:
    assert check_dsn(dsn) == dsn


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("shop", "is not a connection string"),
        ("mysql://root:hunter2@db/shop?a=b", "is not a connection string"),
        ("postgresql://taskd:hunter2@db:port/shop", "port is not between 1 and 65535"),
        ("postgresql://taskd:hunter2@db:70000/shop", "port is not between 1 and 65535"),
        ("postgresql://taskd:hunter2/x@db/shop", "port is not between 1 and 65535"),
        ("postgresql://taskd:hun@ter2@db/shop", "write %40"),
        ("postgresql://taskd:hunter2%@db/shop", "write %25"),
        ("postgresql://taskd:hunter2@db/shop name", "write %20"),
        ("postgresql://[::1/shop", "closing bracket"),
        ("host=db password=hunter2 and more", "single quotes"),
        ("host=db password='hunter2", "single quotes"),
        ("host=db password=hunter2\0", "NUL"),
    ],
)
def test_what_is_no_connection_string_is_refused_without_quoting_it(dsn: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_dsn(dsn)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://taskd:hunter2@db/shop", "postgresql://taskd:***@db/shop"),
        ("postgresql://taskd@db/shop", "postgresql://taskd@db/shop"),
        ("postgresql://taskd:hun@ter2@db/shop", "postgresql://taskd:***@db/shop"),
        ("postgresql://taskd:hunter 2@db/shop", "postgresql://taskd:***@db/shop"),
        ("postgresql://db/shop?user=taskd&password=hunter2", "postgresql://db/shop?user=taskd&password=***"),
        ("host=db password=hunter2 port=1", "host=db password=*** port=1"),
        ("host=db password = 'hunter 2' port=1", "host=db password = *** port=1"),
        ("host=db PASSWORD=hunter\\ 2 port=1", "host=db PASSWORD=*** port=1"),
        ("sslpassword=hunter2", "sslpassword=***"),
        ("host=db password='hunter2", "host=db password=***"),
        ("taskd:hunter2@db/shop", "taskd:***@db/shop"),
        ("--database=postgresql://taskd:hunter2@db", "--database=postgresql://taskd:***@db"),
        ("cannot reach postgres://a:hunter2@b now", "cannot reach postgres://a:***@b now"),
    ],
)  # fmt: skip
def test_password_is_masked(text: str, masked: str) -> None:
    assert mask_dsn(text) == masked


def test_message_of_the_server_stays_readable() -> None:
    message = 'connection failed: FATAL:  password authentication failed for user "me@corp"'

    assert mask_dsn(message) == message


def test_masking_twice_changes_nothing_more() -> None:
    once = mask_dsn("postgresql://taskd:hunter2@db/shop?password=hunter2")

    assert mask_dsn(once) == once


def test_masking_a_long_text_takes_no_long_time() -> None:
    for text in (":" * 300_000, "@:" * 200_000, "password" * 50_000, "x" * 500_000):
        mask_dsn(text)


SECRET = st.text(string.ascii_letters + string.digits + "!#$&()*+,-.;<>[]^_{|}~", min_size=6)


@given(SECRET)
def test_no_password_of_a_uri_survives_the_mask(secret: str) -> None:
    secret = f"s3cret{secret}"

    assert "s3cret" not in mask_dsn(f"postgresql://user:{secret}@host:5432/name")


@given(SECRET)
def test_no_password_of_a_row_of_words_survives_the_mask(secret: str) -> None:
    secret = f"s3cret{secret}"

    assert "s3cret" not in mask_dsn(f"host=db password={secret} dbname=shop")


@given(st.text())
def test_any_text_is_a_connection_string_or_a_value_error(text: str) -> None:
    mask_dsn(text)
    with suppress(ValueError):
        check_dsn(text)
