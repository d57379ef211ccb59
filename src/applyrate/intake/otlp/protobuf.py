"""The binary encoding of OTLP.

The three outer levels are walked here, and each span is parsed alone: two bytes may stand for a
span, and parsed it takes eighty times as much, so no more than one lies parsed at a time. A damaged
span does not take its neighbours with it, either.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from applyrate.errors import InvalidInput
from applyrate.intake.otlp.decoded import (
    Decoded,
    Emitter,
    Refusal,
    check_count,
    check_depth,
    emitter_fault,
    emitter_of,
    is_entry,
    place_of,
    read_times,
)
from applyrate.intake.spans import Span, SpanEvent, Value

MAX_SPAN_BYTES: Final = 4 * 1024 * 1024
"""A longer span is refused, since parsed it may take 40 times as much."""


def decode_protobuf(body: bytes) -> Decoded:
    """The spans of an ``ExportTraceServiceRequest``.

    Raises InvalidInput where the body is none, PayloadTooLarge for too many spans.
    """
    decoded = Decoded()
    count = 0
    for emitter_place, of_emitter in enumerate(_walk(body, 0, len(body), _RESOURCE_SPANS)):
        emitter = _read_emitter(body, of_emitter, emitter_place)
        for scope_place, of_scope in enumerate(_walk(body, *of_emitter, _SCOPE_SPANS)):
            for place, (start, end) in enumerate(_walk(body, *of_scope, _SPANS)):
                count += 1
                check_count(count)
                try:
                    decoded.spans.append(_read_span(body[start:end], emitter))
                except Refusal as reason:
                    told = place_of(emitter_place, scope_place, place)
                    decoded.refuse(told, reason, _named_trace(body[start:end]))
            count += 1
        count += 1
        check_count(count)  # an emitter or a scope without spans costs time, too
    return decoded


# The numbers of the fields that are walked: TracesData.resource_spans, ResourceSpans.resource and
# .scope_spans, ScopeSpans.spans.
_RESOURCE_SPANS: Final = 1
_RESOURCE: Final = 1
_SCOPE_SPANS: Final = 2
_SPANS: Final = 2

_Extent = tuple[int, int]


def _walk(body: bytes, at: int, end: int, number: int) -> Iterator[_Extent]:
    """Where the submessages under one field's number lie in a message. Raises InvalidInput."""
    try:
        while at < end:
            tag, at = _read_varint(body, at)
            kind = tag & 7
            if kind == _LENGTH_DELIMITED:
                length, start = _read_varint(body, at)
                at = start + length
                if tag >> 3 == number and at <= end:
                    yield start, at
            elif kind == _VARINT:
                _, at = _read_varint(body, at)
            elif kind in _FIXED_BYTES:
                at += _FIXED_BYTES[kind]
            else:
                raise InvalidInput(_NOT_PROTOBUF)
    except IndexError:
        raise InvalidInput(_NOT_PROTOBUF) from None
    if at > end:
        raise InvalidInput(_NOT_PROTOBUF)


_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
_LONGEST_VARINT_BITS: Final = 63
_NOT_PROTOBUF: Final = "the body: not an ExportTraceServiceRequest in protobuf, or cut off"


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends. Raises IndexError, InvalidInput."""
    byte = body[at]
    if byte < 0x80:  # noqa: PLR2004 (the bit that says that more follow)
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while shift <= _LONGEST_VARINT_BITS:
        at += 1
        byte = body[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return value, at + 1
        shift += 7
    raise InvalidInput(_NOT_PROTOBUF)


def _read_emitter(body: bytes, extent: _Extent, place: int) -> Emitter:
    # A message that comes in several parts means the same as the parts joined.
    raw = b"".join(body[start:end] for start, end in _walk(body, *extent, _RESOURCE))
    try:
        return emitter_of(_read_attributes(_parse(Resource, raw).attributes))
    except Refusal as reason:
        raise emitter_fault(place, reason) from None


def _read_span(raw: bytes, emitter: Emitter) -> Span:
    parsed = _parse(trace_pb2.Span, raw)
    trace_id = _read_id("traceId", parsed.trace_id, _NO_TRACE)
    span_id = _read_id("spanId", parsed.span_id, _NO_SPAN)
    given = parsed.parent_span_id
    parent_id = None if given in _NO_PARENT else _read_id("parentSpanId", given, _NO_SPAN)
    started_at, ended_at = read_times(parsed.start_time_unix_nano, parsed.end_time_unix_nano)
    return Span(
        trace_id,
        span_id,
        parent_id,
        parsed.name,
        started_at,
        ended_at,
        _read_attributes(parsed.attributes),
        [SpanEvent(event.name, _read_attributes(event.attributes)) for event in parsed.events],
        emitter.service,
        emitter.attributes,
        parent_id is not None and is_entry(parsed.kind, parsed.flags),
    )


def _named_trace(raw: bytes) -> str | None:
    with suppress(Refusal):
        return _read_id("traceId", _parse(trace_pb2.Span, raw).trace_id, _NO_TRACE)
    return None


_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_NO_PARENT: Final = (b"", _NO_SPAN)

_Parsed = TypeVar("_Parsed", bound=Message)


def _parse(kind: type[_Parsed], raw: bytes) -> _Parsed:
    if len(raw) > MAX_SPAN_BYTES:
        raise Refusal(f"attributes: {len(raw)} bytes in all, and {MAX_SPAN_BYTES} are the most")
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise Refusal("attributes: damaged, nested too deeply, or text that is not UTF-8") from None


def _read_id(name: str, raw: bytes, zero: bytes) -> str:
    if not raw:
        raise Refusal(f"{name}: required, and missing")
    if len(raw) != len(zero):
        raise Refusal(f"{name}: {len(raw)} bytes, and an id has {len(zero)}")
    if raw == zero:
        raise Refusal(f"{name}: all zero")
    return raw.hex()


def _read_attributes(attributes: Iterable[KeyValue], depth: int = 1) -> dict[str, Value]:
    return {one.key: _read_value(one.value, depth) for one in attributes}


def _read_value(value: AnyValue, depth: int) -> Value:
    if text := value.string_value:  # most are, and this way costs half
        return text
    kind = value.WhichOneof("value")
    if kind == "array_value":
        check_depth(depth)
        return [_read_value(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        check_depth(depth)
        return _read_attributes(value.kvlist_value.values, depth + 1)
    plain: Value = getattr(value, kind) if kind in _PLAIN else None
    return plain


_PLAIN: Final = ("string_value", "bool_value", "int_value", "double_value", "bytes_value")
