"""The dashboard's server on a port of its own in this process, asked over real HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from waitress import wasyncore

from taskd.events import Event, Events
from taskd.web.access import Access, Address
from taskd.web.app import make_app
from taskd.web.live import Live, make_overview
from taskd.web.server import listen
from taskd.web.source import Source
from tests.store.asking import API, Answer, listened_to

OPERATORS = "operators-0123456789"
READERS = "readers-9876543210"


@dataclass
class Served:
    """A server that answers; `told` is what it has told in its log."""

    port: int
    told: list[Event] = field(default_factory=list)

    def ask(
        self,
        path: str,
        body: Any = None,
        method: str | None = None,
        token: str | None = OPERATORS,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        """Ask for a path of the API; with a body it is an order."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        url = API + quote(path) + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method or ("GET" if body is None else "POST"), url, data, sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    @contextmanager
    def watching(self, token: str = OPERATORS) -> Iterator[http.client.HTTPResponse]:
        """The news, to be read line by line."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", f"{API}/live", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            yield answer
            answer.close()
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        """What a question is answered, which must be."""
        reply = self.ask(path, **query)
        assert reply.status == 200, reply.body
        return reply.json

    def order(self, path: str, **body: Any) -> Any:
        """What an order is answered, which must be carried out."""
        reply = self.ask(path, body)
        assert reply.status == 200, reply.body
        return reply.json

    def refused(self, path: str, **body: Any) -> tuple[int, str]:
        """How an order is refused."""
        reply = self.ask(path, body)
        assert reply.status >= 400, reply.body
        return reply.status, reply.json["error"]


@contextmanager
def served(
    dsn: str,
    access: Access | None = None,
    mask: tuple[str, ...] = (),
    make_live: Callable[[Source, Events], Live] | None = None,
) -> Iterator[Served]:
    """A running server; at the end nothing may have gone wrong in it."""
    events, told = listened_to()
    source = Source(dsn, mask)
    make_live = make_live or (lambda source, events: Live(lambda: make_overview(source), events))
    live = make_live(source, events)
    app = make_app(source, access or Access(OPERATORS, READERS), events, live)
    server: Any = listen(Address("127.0.0.1", 0), app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Served(server.effective_port, told)
    finally:
        live.is_over = True
        server.task_dispatcher.shutdown()
        # In its own thread: what it waits for at this moment must not be closed under it.
        with suppress(
            OSError
        ):  # another pull has run it already, and closed the trigger with all else
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(10)
        source.close()
    assert not thread.is_alive()
    assert [str(event) for event in told] == []
