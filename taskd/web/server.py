"""The process that answers: waitress, with threads, until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable
from functools import partial
from types import FrameType
from typing import NoReturn

import bottle
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from taskd.events import Events
from taskd.web.access import Access, Address
from taskd.web.app import MOST_BODY, make_app
from taskd.web.events import Listening
from taskd.web.live import MOST_VIEWERS, Live, make_overview
from taskd.web.source import Source

THREADS = 16
"""For requests; each viewer of the news has one more."""
IDLE_SECONDS = 60


def serve(
    address: Address,
    access: Access,
    dsn: str,
    events: Events,
    *,
    mask: Iterable[str] = (),
    ends: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Answer at an address until one of the signals `ends`; must be called in the main thread.

    `mask` are the tasks whose arguments are shown to nobody.
    Raises OSError if nobody may listen there, UnicodeError if it can be no name.
    """
    source = Source(dsn, mask)
    try:
        live = Live(lambda: make_overview(source), events)
        server = listen(address, make_app(source, access, events, live))
        for number in ends:
            signal.signal(number, partial(_end, live))
        events.emit(Listening(_url(address, server), access.token is not None))
        server.run()  # returns at SystemExit, once the threads have answered
        server.close()
    finally:
        source.close()


def listen(address: Address, app: bottle.Bottle) -> MultiSocketServer | BaseWSGIServer:
    """A server that has its address, and answers once it is run.

    Raises OSError if nobody may listen there, UnicodeError if it can be no name.
    """
    # Waitress tells only that a name is wrong; this raises an OSError that says how.
    socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return create_server(
        app,
        host=address.host,
        port=address.port,
        threads=THREADS + MOST_VIEWERS,
        ident=None,
        max_request_body_size=MOST_BODY,
        channel_timeout=IDLE_SECONDS,
        clear_untrusted_proxy_headers=True,
    )


def _end(live: Live, number: int, frame: FrameType | None) -> NoReturn:
    live.is_over = True
    # Waitress ends its loop by this exception alone.
    raise SystemExit(0)


def _url(address: Address, server: object) -> str:
    # One socket, or one for each address of a name, which all have the same port unless it was 0.
    listens = getattr(server, "effective_listen", None)
    port = listens[0][1] if listens else getattr(server, "effective_port", address.port)
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"http://{host}:{port}"
