"""Traces: what any exporter of OpenTelemetry sends (OTLP over HTTP)."""

from http import HTTPStatus
from typing import Any

import litestar
from litestar import Response, post

from applyrate.answers import Source
from applyrate.api.bodies import JSON, PROTOBUF, media_type, read_all
from applyrate.api.failures import read_failure
from applyrate.api.limits import Rate
from applyrate.api.operations import OPERATION, Operation
from applyrate.api.otlp_answers import (
    ExportFailure,
    ExportReceipt,
    ExportRequest,
    encode_failure,
    encode_receipt,
)
from applyrate.api.request import Request
from applyrate.errors import ApplyrateError
from applyrate.intake.journal import Notes
from applyrate.intake.reasons import reason_of
from applyrate.intake.rejections import describe_rejection
from applyrate.intake.span_readers import SpansRead


def answer_failed_export(
    request: litestar.Request[Any, Any, Any], error: Exception
) -> Response[bytes]:
    """The answer to an export that failed.

    A key that has used up its requests is told 503, and so is a body that came too slowly: many
    exporters drop a batch on 429 and 408.
    """
    failure = read_failure(request, error)
    status = failure.status
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = PROTOBUF if kind == PROTOBUF else JSON
    return Response(
        encode_failure(kind, status, failure.message),
        media_type=kind,
        status_code=status,
        headers=dict(failure.headers),
    )


@post(
    "/v1/traces",
    status_code=HTTPStatus.OK,
    exception_handlers={Exception: answer_failed_export},
    opt={
        OPERATION: Operation(
            operation_id="recordTraces",
            tag="Recording",
            summary="Record traces of OpenTelemetry",
            description=(
                "Takes spans from any exporter of OTLP over HTTP, in protobuf or JSON, compressed"
                " with gzip or not, and makes replies of their traces. The answer comes once the"
                " spans are on disk, in the encoding of the request.\n\n"
                "Set `OTEL_EXPORTER_OTLP_ENDPOINT` to this service and"
                " `OTEL_EXPORTER_OTLP_HEADERS` to `authorization=Bearer <key>`. Spans may come in"
                " any split and order, and again: no count changes. `partialSuccess` tells of spans"
                " that were refused for good; errors are a `google.rpc.Status`."
            ),
            scopes=("usage:write",),
            rate=Rate.STREAMING,
            body=ExportRequest,
            body_example={
                "resourceSpans": [
                    {
                        "scopeSpans": [
                            {
                                "spans": [
                                    {
                                        "traceId": "5b8efff798038103d269b633813fc60c",
                                        "spanId": "eee19b7ec3c1b174",
                                        "name": "execute_tool lookup_order",
                                        "startTimeUnixNano": "1772359200000000000",
                                        "endTimeUnixNano": "1772359200250000000",
                                        "attributes": [
                                            {"key": key, "value": {"stringValue": value}}
                                            for key, value in (
                                                ("gen_ai.operation.name", "execute_tool"),
                                                ("gen_ai.tool.name", "lookup_order"),
                                                ("gen_ai.conversation.id", "conv_7"),
                                            )
                                        ],
                                    }
                                ]
                            }
                        ]
                    }
                ]
            },
            media_types=(JSON, PROTOBUF),
            answer=ExportReceipt,
            answer_description="The spans are on disk.",
            example={
                "partialSuccess": {
                    "rejectedSpans": "1",
                    "errorMessage": "resourceSpans[0].scopeSpans[0].spans[4].spanId: all zero",
                }
            },
            failure=ExportFailure,
            errors=(
                HTTPStatus.BAD_REQUEST,
                HTTPStatus.UNAUTHORIZED,
                HTTPStatus.FORBIDDEN,
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                HTTPStatus.SERVICE_UNAVAILABLE,
            ),
        )
    },
)
async def record_traces(request: Request) -> Response[bytes]:
    """Keep what the spans of the body tell; replies are made of it once their trace is there."""
    traces, journal, org = request.services.traces, request.services.journal, request.caller.org
    try:
        kind = media_type(request, (PROTOBUF, JSON))
        body = await read_all(request, way_out="export fewer spans at once")
        read = await traces.read(org, body, is_json=kind == JSON)
    except ApplyrateError as error:
        journal.note_failure(org, Source.TRACES, error)
        raise
    if read.spans:
        await traces.accept(org, read.spans)
        journal.note_spans(org, read.spans)
    if read.refused_count:
        _note_refused(journal.of(org), read)
    request.services.metrics.spans_accepted.inc(len(read.spans))
    request.services.metrics.spans_refused.inc(read.refused_count)
    answer = encode_receipt(kind, read.refused_count, read.message)
    return Response(answer, media_type=kind)


def _note_refused(notes: Notes, read: SpansRead) -> None:
    for span in read.refused:
        message, reason = f"{span.place}.{span.rule}", reason_of(span.rule)
        notes.keep(
            describe_rejection(Source.TRACES, message, reason=reason, trace_id=span.trace_id)
        )
    for reason, count in read.rules.items():
        notes.count(Source.TRACES, reason, count)
