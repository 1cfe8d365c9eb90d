"""Who may ask: whoever shows a token, or, where there is none, programs on this machine."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from taskd.config.address import Address, is_loopback

__all__ = ["Access", "AccessRefused", "Address", "Role"]

LEAST_TOKEN = 16
"""Characters; a shorter token could be guessed."""

_WHERE = "dashboard.token_file, --token-file FILE, or the variable TASKD_DASHBOARD_TOKEN"


class Role(StrEnum):
    """What somebody may do: nothing, read, or give orders as well."""

    NONE = "none"
    READER = "reader"
    OPERATOR = "operator"


class AccessRefused(Exception):
    """A request may not be answered; `status` says why to programs, the text to people."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """The rule for all requests; `token` None: programs on this machine need none.

    Whoever shows `reader_token` may read, and give no orders.
    """

    token: str | None = field(repr=False)
    reader_token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, address: Address, token: str | None, reader_token: str | None = None) -> Access:
        """Raise ValueError with a sentence unless that is safe."""
        if token is None and not address.is_loopback:
            raise ValueError(
                f"{address.host} can be reached from other machines, so a token is needed: {_WHERE}"
            )
        if token is None and reader_token is not None:
            raise ValueError(
                "a reader's token means nothing where nobody needs a token: give operators one: "
                f"{_WHERE}"
            )
        if token is not None:
            _check_token(token, "the token")
        if reader_token is not None:
            _check_token(reader_token, "the reader's token")
        if token is not None and token == reader_token:
            raise ValueError("readers and operators have the same token: make another for readers")
        return cls(token, reader_token)

    @property
    def needs_token(self) -> bool:
        """Whether a token must be shown."""
        return self.token is not None

    def check(self, environ: Mapping[str, object]) -> Role:
        """What this request may do by its header alone; raises AccessRefused if nothing."""
        self.check_host(environ)
        if not self.needs_token:
            return Role.OPERATOR
        role = self.shown(environ)
        if role is Role.NONE:
            raise AccessRefused(401, "show the token: Authorization: Bearer …")
        return role

    def check_host(self, environ: Mapping[str, object]) -> None:
        """Raise AccessRefused if no token is needed and another name than this machine's asked."""
        # A page elsewhere may let its own name point here; then that is the name asked for.
        if not self.needs_token and not is_loopback(_named_host(str(environ.get("HTTP_HOST", "")))):
            raise AccessRefused(
                403, "ask for localhost or 127.0.0.1: without a token no other name is answered"
            )

    def shown(self, environ: Mapping[str, object]) -> Role:
        """Whose token the header Authorization shows."""
        scheme, _, shown = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        role = self.role_of(shown.strip())
        return role if scheme.lower() == "bearer" else Role.NONE

    def role_of(self, text: str) -> Role:
        """Whose token this is."""
        # It takes as long whatever is wrong, so that no part of it can be guessed by itself.
        is_operators, is_readers = (
            hmac.compare_digest(text.encode("utf-8", "replace"), (token or "").encode())
            and token is not None
            for token in (self.token, self.reader_token)
        )
        if is_operators:
            return Role.OPERATOR
        return Role.READER if is_readers else Role.NONE


def _check_token(token: str, whose: str) -> None:
    if len(token) < LEAST_TOKEN:
        raise ValueError(
            f"{whose} is shorter than {LEAST_TOKEN} characters: make one with "
            "`openssl rand -hex 32`"
        )
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError(f"{whose} holds spaces or characters that no header can carry")


def _named_host(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
