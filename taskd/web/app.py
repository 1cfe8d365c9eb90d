"""The application: who asks for what, whether they may, what they get. WSGI, routed by bottle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import bottle
from prometheus_client import CONTENT_TYPE_LATEST

from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.web import assets
from taskd.web.access import Access, AccessRefused
from taskd.web.answers import NotThere, as_json
from taskd.web.bodies import parse_body, read_body
from taskd.web.desk import Desk, OrderRefused
from taskd.web.detail_routes import DETAIL_ROUTES
from taskd.web.events import AnswerFailed
from taskd.web.gate import Caller, Gate
from taskd.web.live import Live, TooManyViewers, make_overview
from taskd.web.metrics import write_metrics
from taskd.web.openapi import describe_api
from taskd.web.order_routes import ORDERS, Order
from taskd.web.parameters import ParameterInvalid, read_parameters
from taskd.web.routes import PREFIX, ROUTES, Route
from taskd.web.session import TOKEN, Answer, begin_session, end_session, tell_session
from taskd.web.session_notes import SessionNotes
from taskd.web.source import Source, TooManyAsk

JSON = "application/json"
MOST_BODY = 256 * 1024
"""Bytes; ten thousand ids have room."""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_Ask = Callable[..., Any]


def make_app(
    source: Source, access: Access, events: Events, live: Live | None = None
) -> bottle.Bottle:
    """The WSGI application; thread-safe. `live` makes the news for pages that stay open."""
    app = bottle.Bottle()
    assets.add_routes(app)
    app.config["catchall"] = False
    app.default_error_handler = _refuse_unknown
    answer = _Answers(Gate(access), events)
    app.route("/healthz", callback=answer.open(lambda: {"status": "ok"}))
    app.route("/readyz", callback=answer.open(lambda: _ready(source)))
    app.route("/metrics", callback=answer.closed(lambda: _metrics(source)))
    document = json.dumps(describe_api(has_token=access.needs_token), indent=1)
    app.route(f"{PREFIX}/openapi.json", callback=answer.closed(lambda: document))
    for route in (*ROUTES, *DETAIL_ROUTES):
        app.route(PREFIX + route.path, callback=answer.closed(_asked(route, source)))
    for order in ORDERS:
        callback = answer.ordered(_ordered(order, Desk(source)))
        app.route(PREFIX + order.path, method="POST", callback=callback)
    news = live or Live(lambda: make_overview(source), events)
    app.route(f"{PREFIX}/live", callback=answer.closed(lambda: _stream(news)))
    _add_session(app, answer, SessionNotes(source, events))
    return app


def _add_session(app: bottle.Bottle, answer: _Answers, notes: SessionNotes) -> None:
    path, gate = f"{PREFIX}/session", answer.gate

    def tell() -> Any:
        return tell_session(gate, bottle.request.environ)

    def begin() -> Any:
        return begin_session(notes, gate, bottle.request.environ, _body((TOKEN,))["token"])

    def end() -> Any:
        return end_session(notes, gate, bottle.request.environ)

    for method, ask in (("GET", tell), ("POST", begin), ("DELETE", end)):
        app.route(path, method=method, callback=answer.open(ask))


def _stream(live: Live) -> Answer:
    headers = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    return Answer(live.watch(), headers)


def _ready(source: Source) -> dict[str, str]:
    source.check()
    return {"status": "ready"}


def _metrics(source: Source) -> bytes:
    return write_metrics(source.figures(), source.totals())


def _asked(route: Route, source: Source) -> _Ask:
    def ask(**in_path: str) -> Any:
        given = _query()
        for name in given.keys() & in_path.keys():
            raise ParameterInvalid(f"{name} stands in the path already")
        given.update({name: [text] for name, text in in_path.items()})
        values = read_parameters(route.parameters, given)
        if not route.is_shared:
            return route.answer(source, values)
        question = (route.path, *values.items())
        return source.answers.get(question, lambda: _as_text(route.answer(source, values)))

    return ask


def _ordered(order: Order, desk: Desk) -> Callable[..., Any]:
    def carry_out(caller: Caller, **in_path: str) -> Any:
        if bottle.request.query_string:
            raise ParameterInvalid("an order has no query: what it says stands in its body")
        given = {name: [text] for name, text in in_path.items()}
        values = read_parameters(order.parameters, given) | _body(order.members)
        return order.carry_out(desk, caller, values)

    return carry_out


def _body(members: Any) -> dict[str, Any]:
    return read_body(members, parse_body(bottle.request.body.read(MOST_BODY)))


def _query() -> dict[str, list[str]]:
    try:
        query = bottle.request.query.decode()
    except UnicodeDecodeError as error:
        raise ParameterInvalid("the query is no UTF-8") from error
    return {name: query.getall(name) for name in query}


class _Answers:
    """Turns what a function returns or raises into a response."""

    def __init__(self, gate: Gate, events: Events) -> None:
        self.gate = gate
        self._events = events

    def open(self, ask: _Ask) -> Callable[..., bottle.HTTPResponse]:
        """For everybody: it must tell nothing but whether the server is well, and who asks."""

        def respond(**in_path: str) -> bottle.HTTPResponse:
            return self._respond(lambda: ask(**in_path), is_open=True)

        return respond

    def closed(self, ask: _Ask) -> Callable[..., bottle.HTTPResponse]:
        """For those who may read."""

        def read(in_path: dict[str, str]) -> Any:
            self.gate.let_ask(bottle.request.environ)
            return ask(**in_path)

        def respond(**in_path: str) -> bottle.HTTPResponse:
            return self._respond(lambda: read(in_path))

        return respond

    def ordered(self, carry_out: _Ask) -> Callable[..., bottle.HTTPResponse]:
        """For those who may give orders."""

        def order(in_path: dict[str, str]) -> Any:
            return carry_out(self.gate.let_order(bottle.request.environ), **in_path)

        def respond(**in_path: str) -> bottle.HTTPResponse:
            return self._respond(lambda: order(in_path))

        return respond

    def _respond(self, ask: Callable[[], Any], is_open: bool = False) -> bottle.HTTPResponse:
        try:
            return _response(200, ask())
        except AccessRefused as refused:
            return _response(refused.status, {"error": str(refused)})
        except ParameterInvalid as invalid:
            return _response(400, {"error": str(invalid)})
        except NotThere as missing:
            return _response(404, {"error": str(missing)})
        except TooManyViewers as many:
            return _response(503, {"error": str(many)})
        except TooManyAsk as many:
            return _response(429, {"error": str(many)})
        except OrderRefused as refused:
            return _response(409, {"error": str(refused)})
        except DatabaseError as error:
            words = "the database is not ready" if is_open else str(error)
            return _response(503, {"error": words})
        except Exception as fault:
            self._events.emit(AnswerFailed.of(bottle.request.path, fault))
            return _response(500, {"error": "a fault in taskd: its log has the traceback"})


def _response(status: int, body: Any) -> bottle.HTTPResponse:
    headers = dict(_HEADERS)
    if isinstance(body, Answer):
        return bottle.HTTPResponse(body.body, status, {**headers, **body.headers})
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(body, bytes):
        return bottle.HTTPResponse(body, status, {**headers, "Content-Type": CONTENT_TYPE_LATEST})
    text = body if isinstance(body, str) else _as_text(body)
    return bottle.HTTPResponse(text, status, {**headers, "Content-Type": JSON})


def _as_text(body: Any) -> str:
    return json.dumps(body, default=as_json)


def _refuse_unknown(error: bottle.HTTPError) -> str:
    """What no route answers: an unknown path, or another method than its own."""
    for name, value in _HEADERS.items():
        error.set_header(name, value)
    error.set_header("Content-Type", JSON)
    described = f"{PREFIX}/openapi.json describes what there is"
    return json.dumps({"error": f"{error.status_line}: {described}"})
