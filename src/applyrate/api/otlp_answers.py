"""What OTLP answers: a receipt or a ``google.rpc.Status``, in the encoding of the request.

The structs are the JSON forms, named and told as the document does.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]  # it has no types
from msgspec import UNSET, Struct, UnsetType
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from applyrate.api.bodies import PROTOBUF


class ExportRequest(Struct, frozen=True, rename="camel"):
    """An `ExportTraceServiceRequest`: spans by emitter and scope."""

    resource_spans: list[dict[str, Any]]


class PartialSuccess(Struct, frozen=True, rename="camel"):
    """How many spans were refused for good, and why."""

    rejected_spans: str
    error_message: str


class ExportReceipt(Struct, frozen=True, rename="camel"):
    """The spans are on disk; without `partialSuccess` all of them are."""

    partial_success: PartialSuccess | UnsetType = UNSET


class ExportFailure(Struct, frozen=True):
    """Why the request was not taken: a `google.rpc.Status`."""

    code: int
    message: str


def encode_receipt(media_type: str, refused_count: int, reasons: str) -> bytes:
    """An ``ExportTraceServiceResponse``, with ``partial_success`` only if spans were refused."""
    if media_type == PROTOBUF:
        receipt = trace_service_pb2.ExportTraceServiceResponse()
        if refused_count:
            receipt.partial_success.rejected_spans = refused_count
            receipt.partial_success.error_message = reasons
        return receipt.SerializeToString()
    partial = PartialSuccess(str(refused_count), reasons) if refused_count else UNSET
    return msgspec.json.encode(ExportReceipt(partial))


def encode_failure(media_type: str, status: HTTPStatus, message: str) -> bytes:
    """A ``google.rpc.Status``."""
    code = _CODES.get(status, code_pb2.UNKNOWN)
    if media_type == PROTOBUF:
        told: bytes = status_pb2.Status(code=code, message=message).SerializeToString()
        return told
    return msgspec.json.encode(ExportFailure(code, message))


_CODES: Final[Mapping[HTTPStatus, int]] = {
    HTTPStatus.BAD_REQUEST: code_pb2.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: code_pb2.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: code_pb2.PERMISSION_DENIED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: code_pb2.INVALID_ARGUMENT,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: code_pb2.INVALID_ARGUMENT,
    HTTPStatus.INTERNAL_SERVER_ERROR: code_pb2.INTERNAL,
    HTTPStatus.SERVICE_UNAVAILABLE: code_pb2.UNAVAILABLE,
}
