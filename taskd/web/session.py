"""The route /session: who asks, and how a browser shows a token once and not with each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taskd.web.access import Role
from taskd.web.bodies import Member, Words
from taskd.web.gate import Caller, Environ, Gate
from taskd.web.parameters import LONGEST_TEXT
from taskd.web.session_notes import SessionNotes
from taskd.web.shapes import Shape, object_of

TOKEN = Member("token", Words(LONGEST_TEXT), "The operators' token or the readers'.", True)
SESSION: Shape = object_of(
    {
        "role": {"type": "string", "enum": ["operator", "reader", "none"]},
        "needs_token": {"type": "boolean"},
        "csrf": {"type": "string"},
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A body with headers of its own."""

    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def tell_session(gate: Gate, environ: Environ) -> dict[str, Any]:
    """Who asks, and what their orders must show as X-Taskd-Csrf; empty: nothing."""
    return _told(gate, gate.caller(environ))


def begin_session(notes: SessionNotes, gate: Gate, environ: Environ, token: str) -> Answer:
    """Begin a session of a browser that shows a token; it lasts for 12 hours at most."""
    caller, cookie = gate.begin(environ, token)
    if cookie is not None:
        notes.note(caller, "session.begin")
    return _answer(_told(gate, caller), cookie)


def end_session(notes: SessionNotes, gate: Gate, environ: Environ) -> Answer:
    """End the session of a browser."""
    caller = gate.caller(environ)
    cookie = gate.end(caller, environ)
    if caller.session is not None:
        notes.note(caller, "session.end")
    return _answer(_told(gate, Caller(Role.NONE, "")), cookie)


def _told(gate: Gate, caller: Caller) -> dict[str, Any]:
    return {
        "role": caller.role,
        "needs_token": gate.access.needs_token,
        "csrf": caller.csrf,
    }


def _answer(told: dict[str, Any], cookie: str | None) -> Answer:
    headers = {"Content-Type": "application/json"}
    if cookie is not None:
        headers["Set-Cookie"] = cookie
    return Answer(json.dumps(told), headers)
