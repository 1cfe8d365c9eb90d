"""The description of the API, by OpenAPI 3.1, made from its routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import taskd
from taskd.web.bodies import Member, body_schema
from taskd.web.detail_routes import DETAIL_ROUTES
from taskd.web.order_routes import ORDERS, Order
from taskd.web.parameters import Parameter
from taskd.web.routes import PREFIX, ROUTES, Route
from taskd.web.session import SESSION, TOKEN, begin_session, end_session, tell_session
from taskd.web.shapes import Shape, object_of

JSON = "application/json"
_ERROR = object_of({"error": {"type": "string"}})
_REFUSALS = {
    "400": "What is asked cannot be read; the error names it.",
    "401": "The token is missing or wrong.",
    "403": "Without a token only this machine is answered.",
    "404": "There is no such thing, or not any more.",
    "409": "As things are it cannot be done; the error says why.",
    "429": "As many ask workers at this moment as may; ask again.",
    "503": "The database does not answer, or takes too long.",
}
_NO_ORDERS = "The caller is a reader, or no page of this server asks, or X-Taskd-Csrf is wrong."
_ABOUT = (
    "A running system of background jobs: what waits, runs and has ended, and orders to it. Times "
    "are ISO 8601, durations seconds, sizes bytes. Whoever shows a token in the header "
    "Authorization needs nothing else. A browser begins a session; its orders come from a page of "
    "this server (Origin) and show `csrf` of GET /session as X-Taskd-Csrf. So do those of "
    "programs on this machine, if no token is needed."
)


def describe_api(*, has_token: bool) -> dict[str, Any]:
    """The OpenAPI document of a server that wants a token, or of one that answers this machine."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "taskd", "version": taskd.__version__, "description": _ABOUT},
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}, {"session": []}] if has_token else [],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "taskd_session"},
            },
            "schemas": {"Error": _ERROR},
        },
        "paths": _paths(has_token),
    }


def _paths(has_token: bool) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for route in (*ROUTES, *DETAIL_ROUTES):
        paths.setdefault(_path(route.path), {})["get"] = _question(route, has_token)
    for order in ORDERS:
        paths.setdefault(_path(order.path), {})["post"] = _order(order, has_token)
    paths["/live"] = {"get": _live(has_token)}
    paths["/session"] = _session()
    return paths


def _path(path: str) -> str:
    return re.sub(r"<(\w+)(:\w+)?>", r"{\1}", path)


def _question(route: Route, has_token: bool) -> dict[str, Any]:
    refusals = ["400", "401" if has_token else "403", "503"]
    if route.may_be_missing or any(parameter.in_path for parameter in route.parameters):
        refusals.append("404")
    if route.asks_workers:
        refusals.append("429")
    return _operation(
        route.answer.__name__, route.about, route.shape, refusals, parameters=route.parameters
    )


def _order(order: Order, has_token: bool) -> dict[str, Any]:
    refusals = ["400", "403", "503", *(["401"] if has_token else [])]
    if order.parameters:
        refusals.append("404")
    if order.may_be_refused:
        refusals.append("409")
    described = _operation(
        order.path.strip("/").partition("/")[0] + "." + order.carry_out.__name__,
        order.about,
        order.shape,
        refusals,
        parameters=order.parameters,
        members=order.members,
    )
    described["responses"]["403"] = _refusal(_NO_ORDERS)
    return described


def _live(has_token: bool) -> dict[str, Any]:
    """A stream, which no schema describes."""
    refusals = ["401" if has_token else "403", "503"]
    about = (
        "News for pages that stay open, as server-sent events.\n\nEvery 2 s `overview`: queues, "
        "pools, stats of 15 minutes, workers, hosts, at; `trouble` with `error` while that cannot "
        "be told. A stream ends after 10 minutes. At most 32 are served at a time; then it is 503."
    )
    described = _operation("live", about, {"type": "string"}, refusals)
    content = described["responses"]["200"]["content"]
    content["text/event-stream"] = content.pop(JSON)
    return described


def _session() -> dict[str, Any]:
    """For everybody: here a token may be shown."""
    described = {
        "get": _operation("session", tell_session.__doc__ or "", SESSION, ["403"]),
        "post": _operation(
            "begin_session",
            begin_session.__doc__ or "",
            SESSION,
            ["400", "401", "403"],
            members=(TOKEN,),
        ),
        "delete": _operation("end_session", end_session.__doc__ or "", SESSION, ["403"]),
    }
    for operation in described.values():
        operation["security"] = []
    return described


def _operation(
    name: str,
    about: str,
    shape: Shape,
    refusals: Sequence[str],
    *,
    parameters: Sequence[Parameter] = (),
    members: Sequence[Member] = (),
) -> dict[str, Any]:
    summary = about.strip().partition("\n")[0]
    described = {
        "operationId": name,
        "summary": summary,
        "description": " ".join(about.split()),
        "parameters": [_parameter(parameter) for parameter in parameters],
        "responses": {
            "200": {"description": summary, "content": {JSON: {"schema": shape}}},
            **{status: _refusal(_REFUSALS[status]) for status in refusals},
        },
    }
    if members:
        described["requestBody"] = {
            "required": any(member.is_needed for member in members),
            "content": {JSON: {"schema": body_schema(members)}},
        }
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.kind.schema()
    if parameter.default is not None:
        schema["default"] = parameter.kind.read(parameter.default)
        if schema["type"] == "string":
            schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path,
        "description": parameter.about,
        "schema": schema,
    }


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": text, "content": {JSON: {"schema": schema}}}
