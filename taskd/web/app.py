"""The application: who asks for what, whether he may, and what he gets. WSGI, routed by bottle."""

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
from taskd.web.events import AnswerFailed
from taskd.web.metrics import write_metrics
from taskd.web.openapi import describe_api
from taskd.web.parameters import ParameterInvalid, read_parameters
from taskd.web.routes import PREFIX, ROUTES, Route
from taskd.web.source import Source

JSON = "application/json"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def make_app(source: Source, access: Access, events: Events) -> bottle.Bottle:
    """The WSGI application; thread-safe."""
    app = bottle.Bottle()
    assets.add_routes(app)
    app.config["catchall"] = False
    app.default_error_handler = _refuse_unknown
    answer = _Answers(access, events)
    app.route("/healthz", callback=answer.open(lambda: {"status": "ok"}))
    app.route("/readyz", callback=answer.open(lambda: _ready(source)))
    app.route("/metrics", callback=answer.closed(lambda: _metrics(source)))
    document = json.dumps(describe_api(has_token=access.token is not None), indent=1)
    app.route(f"{PREFIX}/openapi.json", callback=answer.closed(lambda: document))
    for route in ROUTES:
        app.route(PREFIX + route.path, callback=answer.closed(_asked(route, source)))
    return app


def _ready(source: Source) -> dict[str, str]:
    source.check()
    return {"status": "ready"}


def _metrics(source: Source) -> bytes:
    return write_metrics(source.figures())


def _asked(route: Route, source: Source) -> Callable[..., Any]:
    def ask(**in_path: str) -> Any:
        given = _query()
        for name in given.keys() & in_path.keys():
            raise ParameterInvalid(f"{name} stands in the path already")
        given.update({name: [text] for name, text in in_path.items()})
        return route.answer(source, read_parameters(route.parameters, given))

    return ask


def _query() -> dict[str, list[str]]:
    try:
        query = bottle.request.query.decode()
    except UnicodeDecodeError as error:
        raise ParameterInvalid("the query is no UTF-8") from error
    return {name: query.getall(name) for name in query}


class _Answers:
    """Turns what a function returns or raises into a response."""

    def __init__(self, access: Access, events: Events) -> None:
        self._access = access
        self._events = events

    def open(self, ask: Callable[..., Any]) -> Callable[..., bottle.HTTPResponse]:
        """For everybody: it must tell nothing but whether the server is well."""

        def respond(**in_path: str) -> bottle.HTTPResponse:
            return self._respond(ask, in_path, is_open=True)

        return respond

    def closed(self, ask: Callable[..., Any]) -> Callable[..., bottle.HTTPResponse]:
        """For those who may ask."""

        def respond(**in_path: str) -> bottle.HTTPResponse:
            return self._respond(ask, in_path, is_open=False)

        return respond

    def _respond(
        self, ask: Callable[..., Any], in_path: dict[str, str], is_open: bool
    ) -> bottle.HTTPResponse:
        try:
            if not is_open:
                self._access.check(bottle.request.environ)
            return _response(200, ask(**in_path))
        except AccessRefused as refused:
            return _response(refused.status, {"error": str(refused)})
        except ParameterInvalid as invalid:
            return _response(400, {"error": str(invalid)})
        except NotThere as missing:
            return _response(404, {"error": str(missing)})
        except DatabaseError as error:
            words = "the database is not ready" if is_open else str(error)
            return _response(503, {"error": words})
        except Exception as fault:
            self._events.emit(AnswerFailed.of(bottle.request.path, fault))
            return _response(500, {"error": "a fault in taskd: its log has the traceback"})


def _response(status: int, body: Any) -> bottle.HTTPResponse:
    headers = dict(_HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(body, bytes):
        return bottle.HTTPResponse(body, status, {**headers, "Content-Type": CONTENT_TYPE_LATEST})
    text = body if isinstance(body, str) else json.dumps(body, default=as_json)
    return bottle.HTTPResponse(text, status, {**headers, "Content-Type": JSON})


def _refuse_unknown(error: bottle.HTTPError) -> str:
    """What no route answers: an unknown path, or another method than GET."""
    for name, value in _HEADERS.items():
        error.set_header(name, value)
    error.set_header("Content-Type", JSON)
    described = f"{PREFIX}/openapi.json describes what there is"
    return json.dumps({"error": f"{error.status_line}: {described}"})
