"""The gate that each request passes: who asks, what they may do, and whether they meant it.

A program shows a token with each request; it cannot be made to do so by a page elsewhere. A browser
sends its cookie by itself, whoever made it ask, and where no token is needed it need not even do
that. So an order of theirs must come from a page of ours (Origin) and show what only such a page
can have read (X-Taskd-Csrf).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from taskd.web.access import Access, AccessRefused, Role
from taskd.web.sessions import COOKIE, SESSION_SECONDS, Session, Sessions

Environ = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `csrf` is what an order of theirs must show, empty for who shows a token itself."""

    role: Role
    address: str
    csrf: str = ""
    session: Session | None = None


class Gate:
    """Lets requests in by the rules of an Access. Thread-safe."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._sessions = Sessions(access)

    def caller(self, environ: Environ) -> Caller:
        """Who asks, which may be nobody that is known; raises AccessRefused for a wrong name."""
        self.access.check_host(environ)
        address = str(environ.get("REMOTE_ADDR", ""))
        if not self.access.needs_token:
            return Caller(Role.OPERATOR, address, self._sessions.csrf(None))
        if environ.get("HTTP_AUTHORIZATION"):
            return Caller(self.access.shown(environ), address)
        session = self._sessions.find(_cookie(environ))
        if session is None:
            return Caller(Role.NONE, address)
        return Caller(session.role, address, self._sessions.csrf(session), session)

    def let_ask(self, environ: Environ) -> Caller:
        """Who asks; raises AccessRefused unless they may read."""
        caller = self.caller(environ)
        if caller.role is Role.NONE:
            raise AccessRefused(401, "show the token: Authorization: Bearer …, or begin a session")
        return caller

    def let_order(self, environ: Environ) -> Caller:
        """Who orders; raises AccessRefused unless they may, and mean it."""
        caller = self.let_ask(environ)
        self.check_meant(caller, environ)
        if caller.role is not Role.OPERATOR:
            raise AccessRefused(403, "a reader gives no orders: show the operators' token")
        return caller

    def check_meant(self, caller: Caller, environ: Environ) -> None:
        """Raise AccessRefused unless the caller's own page, or a program with a token, asks."""
        if not caller.csrf:
            return
        check_origin(environ)
        shown = str(environ.get("HTTP_X_TASKD_CSRF", "")).encode("utf-8", "replace")
        if not hmac.compare_digest(shown, caller.csrf.encode()):
            raise AccessRefused(
                403, "show `csrf` of GET /api/v1/session as X-Taskd-Csrf; ask for it once more"
            )

    # -- sessions ---------------------------------------------------------------------------------

    def begin(self, environ: Environ, token: str) -> tuple[Caller, str | None]:
        """A session for who shows a token: who they are now, and the header that sets its cookie.

        Where no token is needed nobody needs a session, and there is no cookie.
        """
        self.access.check_host(environ)
        check_origin(environ)
        if not self.access.needs_token:
            return self.caller(environ), None
        role = self.access.role_of(token)
        if role is Role.NONE:
            raise AccessRefused(401, "that is not the token")
        session, cookie = self._sessions.begin(role)
        address = str(environ.get("REMOTE_ADDR", ""))
        caller = Caller(role, address, self._sessions.csrf(session), session)
        return caller, _set_cookie(environ, cookie, SESSION_SECONDS)

    def end(self, caller: Caller, environ: Environ) -> str:
        """End a caller's session; the header that takes its cookie back."""
        self.check_meant(caller, environ)
        if caller.session is not None:
            self._sessions.end(caller.session)
        return _set_cookie(environ, "", 0)


def check_origin(environ: Environ) -> None:
    """Raise AccessRefused unless a page of this very server asks, by what the browser says."""
    origin, host = str(environ.get("HTTP_ORIGIN", "")), str(environ.get("HTTP_HOST", ""))
    if not origin:
        raise AccessRefused(
            403, "the header Origin is missing: say which page asks, or show a token"
        )
    if not host or origin.partition("://")[2].lower() != host.lower():
        raise AccessRefused(
            403,
            f"a page of {origin[:200]} asks, and this is {host[:200]}: a proxy must pass on the "
            "header Host as it came",
        )


def _cookie(environ: Environ) -> str:
    # By hand: the standard library's reader gives up at a cookie of somebody else's that is odd.
    wanted = _cookie_name(environ)
    for part in str(environ.get("HTTP_COOKIE", "")).split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""


def _cookie_name(environ: Environ) -> str:
    """One for each port: browsers send cookies to every port of a host."""
    port = str(environ.get("HTTP_HOST", "")).rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isdigit() else COOKIE


def _set_cookie(environ: Environ, value: str, seconds: int) -> str:
    is_secure = str(environ.get("HTTP_ORIGIN", "")).startswith("https:")
    return (
        f"{_cookie_name(environ)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        + ("; Secure" if is_secure else "")
    )
