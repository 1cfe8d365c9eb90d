"""The description of the API, by OpenAPI 3.1, made from its routes."""

from __future__ import annotations

import re
from typing import Any

import taskd
from taskd.web.parameters import Parameter
from taskd.web.routes import PREFIX, ROUTES, Route
from taskd.web.shapes import object_of

_ERROR = object_of({"error": {"type": "string"}})
_REFUSALS = {
    "400": "A parameter cannot be read; the error names it.",
    "401": "The token is missing or wrong.",
    "403": "Without a token only this machine is answered.",
    "503": "The database does not answer, or takes too long.",
}


def describe_api(*, has_token: bool) -> dict[str, Any]:
    """The OpenAPI document of a server that wants a token, or of one that answers this machine."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskd",
            "version": taskd.__version__,
            "description": "A running system of background jobs: what waits, runs and has ended. "
            "Nothing here changes anything. Times are ISO 8601, durations seconds, sizes bytes.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}] if has_token else [],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
        "paths": {
            re.sub(r"<(\w+)>", r"{\1}", route.path): {"get": _operation(route, has_token)}
            for route in ROUTES
        },
    }


def _operation(route: Route, has_token: bool) -> dict[str, Any]:
    refusals = dict(_REFUSALS)
    del refusals["403" if has_token else "401"]
    if any(parameter.in_path for parameter in route.parameters):
        refusals["404"] = "There is no such thing, or not any more."
    return {
        "operationId": route.answer.__name__,
        "summary": route.about.partition("\n")[0],
        "description": " ".join(route.about.split()),
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": {
            "200": {
                "description": route.about.partition("\n")[0],
                "content": {"application/json": {"schema": route.shape}},
            },
            **{status: _refusal(text) for status, text in refusals.items()},
        },
    }


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
    return {"description": text, "content": {"application/json": {"schema": schema}}}
