"""Sessions of browsers: what a cookie says is signed, so that nothing needs to be kept.

    operator.1764250000.5f0c….a1b2…      role, until when (seconds since 1970), nonce, signature

The keys come from the tokens, so a session outlives a restart of the server, holds at each server
with the same tokens, and ends with its token. What was ended before its time is remembered until
then, by this process alone.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from taskd.clock import utc_now
from taskd.web.access import Access, Role

SESSION_SECONDS = 12 * 3600
COOKIE = "taskd_session"
_ROLES = (str(Role.OPERATOR), str(Role.READER))


@dataclass(frozen=True, slots=True)
class Session:
    """Who has shown a token; `until` is in seconds since 1970."""

    role: Role
    until: int
    nonce: str


def _now() -> float:
    return utc_now().timestamp()


class Sessions:
    """Begins, finds and ends sessions. Thread-safe."""

    def __init__(self, access: Access, now: Callable[[], float] = _now) -> None:
        self._tokens = {Role.OPERATOR: access.token, Role.READER: access.reader_token}
        self._key = secrets.token_bytes(32)
        self._now = now
        self._lock = threading.Lock()  # guards what follows
        self._ended: dict[str, int] = {}

    def begin(self, role: Role) -> tuple[Session, str]:
        """A new session, and the value of its cookie."""
        session = Session(role, int(self._now()) + SESSION_SECONDS, secrets.token_hex(16))
        said = f"{role}.{session.until}.{session.nonce}"
        return session, f"{said}.{self._sign(role, said)}"

    def find(self, cookie: str) -> Session | None:
        """The session that a cookie proves; None if it proves none, or none that still holds."""
        said, _, signature = cookie.rpartition(".")
        match said.split("."):
            case [str(role), str(until), str(nonce)] if (
                role in _ROLES and until.isascii() and until.isdigit()
            ):
                session = Session(Role(role), int(until[:12]), nonce)
            case _:
                return None
        expected = self._sign(session.role, said)
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            return None
        with self._lock:
            is_over = session.nonce in self._ended
        return None if is_over or session.until <= self._now() else session

    def end(self, session: Session) -> None:
        """Let nobody use it any more."""
        now = self._now()
        with self._lock:
            self._ended = {nonce: until for nonce, until in self._ended.items() if until > now}
            self._ended[session.nonce] = session.until

    def csrf(self, session: Session | None) -> str:
        """What a page must show with an order; None: where nobody needs a token."""
        if session is None:
            return _digest(self._key, "csrf")
        return _digest(self._key_of(session.role), f"csrf.{session.nonce}")

    def _sign(self, role: Role, said: str) -> str:
        return _digest(self._key_of(role), f"session.{said}")

    def _key_of(self, role: Role) -> bytes:
        token = self._tokens.get(role)
        return self._key if token is None else token.encode()  # a role without token proves nothing


def _digest(key: bytes, text: str) -> str:
    return hmac.new(key, f"taskd.{text}".encode("utf-8", "replace"), "sha256").hexdigest()
