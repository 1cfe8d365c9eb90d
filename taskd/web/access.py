"""Who may ask: whoever shows the token, or, where there is none, programs on this machine."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST_TOKEN = 16
"""Characters; a shorter token could be guessed."""


class AccessRefused(Exception):
    """A request may not be answered; `status` says why to programs, the text to people."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port`, `[::1]:port` or `:port`; raises ValueError with a sentence."""
        host, colon, port = text.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"{text!r} is no address such as 127.0.0.1:8080")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r}: write an IPv6 address in brackets, such as [::1]:8080")
        return cls(host or "0.0.0.0", int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Access:
    """The rule for all requests; `token` None: programs on this machine need none."""

    token: str | None = field(repr=False)

    @classmethod
    def of(cls, address: Address, token: str | None) -> Access:
        """Raise ValueError with a sentence unless that is safe."""
        if token is None and not address.is_loopback:
            raise ValueError(
                f"{address.host} can be reached from other machines, so a token is needed: "
                "--token-file FILE, or the variable TASKD_DASHBOARD_TOKEN"
            )
        if token is not None and len(token) < LEAST_TOKEN:
            raise ValueError(
                f"the token is shorter than {LEAST_TOKEN} characters: make one with "
                "`openssl rand -hex 32`"
            )
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("the token holds spaces or characters that no header can carry")
        return cls(token)

    def check(self, environ: Mapping[str, object]) -> None:
        """Raise AccessRefused unless this request may be answered."""
        if self.token is None:
            # A page elsewhere may let its own name point here; then that is the name asked for.
            if not _is_loopback(_named_host(str(environ.get("HTTP_HOST", "")))):
                raise AccessRefused(
                    403, "ask for localhost or 127.0.0.1: without a token no other name is answered"
                )
        elif not self._is_shown(str(environ.get("HTTP_AUTHORIZATION", ""))):
            raise AccessRefused(401, "show the token: Authorization: Bearer …")

    def _is_shown(self, header: str) -> bool:
        scheme, _, shown = header.partition(" ")
        # It takes as long whatever is wrong, so that no part of it can be guessed by itself.
        is_right = hmac.compare_digest(
            shown.strip().encode("utf-8", "replace"), (self.token or "").encode()
        )
        return is_right and scheme.lower() == "bearer"


def _named_host(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
