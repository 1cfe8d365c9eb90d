"""Requests to the web application in this process, as a server would hand them over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults

from taskd.events import Event, Events
from taskd.web.access import Access
from taskd.web.app import make_app
from taskd.web.source import Source

API = "/api/v1"


@dataclass
class Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """The application on a database."""

    app: Any
    told: list[Event] = field(default_factory=list)

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method}
        environ["QUERY_STRING"] = urlencode(query)
        environ["HTTP_HOST"] = "127.0.0.1:8080"
        for name, value in (headers or {}).items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        setup_testing_defaults(environ)
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            begun.append((status, headers))

        body = b"".join(self.app(environ, start_response))
        ((status, sent),) = begun
        return Answer(int(status.split()[0]), {name.lower(): value for name, value in sent}, body)

    def api(self, path: str, **query: Any) -> Any:
        """The JSON that a question to the API gives, which must be answered."""
        answer = self.ask(API + path, **query)
        assert answer.status == 200, answer.body
        return answer.json


def listened_to() -> tuple[Events, list[Event]]:
    """Events, and the list in which all that happen will stand."""
    events = Events()
    told: list[Event] = []
    events.subscribe(told.append)
    return events, told


@contextmanager
def site(dsn: str, token: str | None = None) -> Iterator[Site]:
    """The application; what it tells is in `told`."""
    events, told = listened_to()
    source = Source(dsn)
    try:
        yield Site(make_app(source, Access(token), events), told)
    finally:
        source.close()
