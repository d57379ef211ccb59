"""The document that describes the service (OpenAPI 3.1), made from its routes and its types.

Paths, scopes and examples come from each route's Operation, schemas from the structs that the
handlers decode and encode. What is said here is prose.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from applyrate.answers import UsageChange
from applyrate.api.bodies import CSV, JSON, NDJSON, OPEN_METRICS, PARQUET, PROTOBUF, TEXT
from applyrate.api.components import Json, describe_components, reference
from applyrate.api.event_streams import EVENTS
from applyrate.api.operations import OPERATION, Operation, Parameter


def describe(routes: Sequence[HTTPRouteHandler]) -> Json:
    """The document of these routes, as plain JSON values."""
    described = [
        (path, method.lower(), operation)
        for route in routes
        for path in sorted(route.paths)
        for method in sorted(route.http_methods)
        if not (operation := operation_of(route)).hidden
    ]
    paths: dict[str, Json] = {}
    for path, method, operation in described:
        plain_path = re.sub(r":\w+\}", "}", path)
        paths.setdefault(plain_path, {})[method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Applyrate API",
            "description": _ABOUT,
            "version": version("applyrate"),
            "license": {"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
        },
        "servers": [{"url": "/", "description": "This service"}],
        "security": [{"bearerAuth": []}],
        "tags": [{"name": name, "description": prose} for name, prose in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": describe_components(
                operation.answer for _, _, operation in described if operation.answer
            ),
            "securitySchemes": {
                "bearerAuth": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An API key (`apr_live_...`) or a JSON Web Token.",
                }
            },
        },
    }


def operation_of(route: HTTPRouteHandler) -> Operation:
    """What a route promises."""
    operation: Operation = route.opt[OPERATION]
    return operation


_ABOUT: Final = """\
Which instructions, knowledge items and actions an AI support agent really uses, how often, and in \
which conversations.

Usages are a set: recording anything again, in any batch, order or split, changes no count. What was
recorded shows in the next answer. Times are UTC; a window is half open, from ≤ t < to.

Every request but the public ones carries `Authorization: Bearer <key>`, an API key or a JSON Web
Token with the claims `org`, `scope` and `exp`. Its key allows it 100 requests a minute, and 1000 to
`POST /replies`, `POST /v1/traces` and opening a stream together, unless the service is set
otherwise; `RateLimit` says what is left. Every answer carries `X-Request-Id`, the request's own
where it sent a sane one. Every error has one body, but for those of `POST /v1/traces`, which are
OpenTelemetry's."""

_TAGS: Final = {
    "Resource usage": "How often actions, instructions and knowledge items are used, and where.",
    "Insights": "What a person should look at.",
    "Recording": "What an agent, or whatever watches it, sends.",
    "Keys": "Who may ask.",
    "Service": "The service itself.",
}


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "description": operation.description,
    }
    if not operation.as_published:
        described["tags"] = [operation.tag]
    if operation.public:
        described["security"] = []
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        described["requestBody"] = _request_body(operation)
    failures = sorted({*operation.errors, HTTPStatus.INTERNAL_SERVER_ERROR})
    described["responses"] = {str(operation.status.value): _answer(operation)} | {
        str(status.value): {
            "description": f"{status.phrase}. {_FAILURES[status]}",
            "content": _contents(operation, {"schema": reference(operation.failure)}),
        }
        for status in failures
    }
    return described


_FAILURES: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "An input breaks a rule; the message names both.",
    HTTPStatus.UNAUTHORIZED: "The key is missing or invalid.",
    HTTPStatus.FORBIDDEN: "The key is valid and lacks the scope that the message names.",
    HTTPStatus.NOT_FOUND: "There is no such thing in the caller's organization.",
    HTTPStatus.REQUEST_TIMEOUT: "The body came too slowly; send it again.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is longer than the service takes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body's type or encoding is none that is read here.",
    HTTPStatus.TOO_MANY_REQUESTS: "The key's limit is used up; `Retry-After` says for how long.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong in the service.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now; `Retry-After` says when to try again.",
}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "schema": dict(parameter.schema),
        "description": parameter.description,
    }


def _request_body(operation: Operation) -> Json:
    assert operation.body is not None  # noqa: S101 (whoever calls has looked)
    one = reference(operation.body)
    if NDJSON not in operation.media_types:
        example = {"schema": one, "example": operation.body_example}
        return {"required": True, "content": _contents(operation, example)}
    content = {
        JSON: {
            "schema": {"anyOf": [one, {"type": "array", "items": one}]},
            "example": operation.body_example,
        },
        NDJSON: {
            "schema": {"type": "string", "description": "One object on each line."},
            "example": msgspec.json.encode(operation.body_example).decode() + "\n",
        },
    }
    return {"required": True, "content": content}


def _contents(operation: Operation, in_json: Json) -> Json:
    """A body by its media types: JSON, and protobuf where the operation speaks it."""
    if PROTOBUF not in operation.media_types:
        return {JSON: in_json}
    message = {"type": "string", "format": "binary", "description": "The same as a message."}
    return {JSON: in_json, PROTOBUF: {"schema": message}}


def _answer(operation: Operation) -> Json:
    answer: Json = {"description": operation.answer_description}
    content: Json = {}
    if operation.answer is not None:
        in_json: Json = {"schema": reference(operation.answer)}
        if not operation.as_published:
            in_json["example"] = operation.example
        content = _contents(operation, in_json)
    content |= {kind: _OTHER_ANSWERS[kind] for kind in operation.answer_types if kind != JSON}
    if NDJSON in content:
        line = msgspec.json.encode(operation.example).decode() + "\n"
        content[NDJSON] = {**content[NDJSON], "example": line}
    for kind in (EVENTS, TEXT):
        if kind in content:
            content[kind] = {**content[kind], "example": operation.example}
    return {**answer, "content": content} if content else answer


_OTHER_ANSWERS: Final[Mapping[str, Json]] = {
    CSV: {
        "schema": {
            "type": "string",
            "description": "The rows under a line of their fields' names (RFC 4180). A text that a"
            " spreadsheet would run as a formula has an apostrophe before it.",
        }
    },
    NDJSON: {"schema": {"type": "string", "description": "One row on each line."}},
    EVENTS: {
        "schema": {
            "type": "string",
            "description": "Server-sent events (HTML standard). The data of each is a JSON object.",
            "contentMediaType": JSON,
            "contentSchema": reference(UsageChange),
        }
    },
    TEXT: {"schema": {"type": "string", "description": "Prometheus' text format, 0.0.4 or 1.0.0."}},
    OPEN_METRICS: {"schema": {"type": "string", "description": "OpenMetrics 1.0.0."}},
    PARQUET: {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "The rows as an Apache Parquet file.",
        }
    },
}
