"""OTLP/JSON: protobuf's JSON mapping with ids in hexadecimal digits and enums as numbers.

Fields that we do not know are ignored, and null is a field that was left out.
"""

import binascii
import re
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from applyrate.errors import InvalidInput, PayloadTooLarge
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
from applyrate.rules import broken_rule

MAX_OBJECTS: Final = 1_000_000
"""A body holds no more ``{``, since three bytes of JSON may become an object of a hundred."""


def decode_json(body: bytes) -> Decoded:
    """The spans of an ``ExportTraceServiceRequest`` in OTLP/JSON.

    Raises InvalidInput where the body is none, PayloadTooLarge for too many spans.
    """
    if body.count(b"{") > MAX_OBJECTS:
        raise PayloadTooLarge(f"the body: more than {MAX_OBJECTS} objects; send fewer at once")
    request = _parse(body)
    if request.resource_spans is None and bytes(request.original_name):
        raise InvalidInput(
            "resource_spans: OTLP/JSON has its field names in lowerCamelCase; send resourceSpans"
        )
    decoded = Decoded()
    count = 0
    for emitter_place, of_emitter in enumerate(request.resource_spans or ()):
        emitter = _read_emitter(of_emitter.resource, emitter_place)
        for scope_place, of_scope in enumerate(of_emitter.scope_spans or ()):
            for place, span in enumerate(of_scope.spans or ()):
                count += 1
                check_count(count)
                try:
                    decoded.spans.append(_read_span(span, emitter))
                except Refusal as reason:
                    told = place_of(emitter_place, scope_place, place)
                    decoded.refuse(told, reason, _named_trace(span))
    return decoded


class _Message(Struct, rename="camel", gc=False):
    """A message of OTLP, as far as we read it; the fields have the names that OTLP gives them."""


class _AnyValue(_Message, gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | float | str | None = None
    double_value: float | str | None = None
    array_value: "_ArrayValue | None" = None
    kvlist_value: "_KeyValueList | None" = None
    bytes_value: str | None = None


class _KeyValue(_Message, gc=False):
    key: str = ""
    value: _AnyValue | None = None


class _ArrayValue(_Message, gc=False):
    values: list[_AnyValue] | None = None


class _KeyValueList(_Message, gc=False):
    values: list[_KeyValue] | None = None


class _Event(_Message, gc=False):
    name: str | None = None
    attributes: list[_KeyValue] | None = None


class _Span(_Message, gc=False):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    flags: int | None = None
    start_time_unix_nano: int | float | str | None = None
    end_time_unix_nano: int | float | str | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_Event] | None = None


class _ScopeSpans(_Message, gc=False):
    spans: list[_Span] | None = None


class _Resource(_Message, gc=False):
    attributes: list[_KeyValue] | None = None


class _ResourceSpans(_Message, gc=False):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(_Message, gc=False):
    resource_spans: list[_ResourceSpans] | None = None
    original_name: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="resource_spans")


_REQUEST: Final = msgspec.json.Decoder(_Request)


def _parse(body: bytes) -> _Request:
    try:
        return _REQUEST.decode(body)
    except msgspec.ValidationError as error:
        rule, _, path = str(error).partition(" - at `$")
        place = path.rstrip("`").removeprefix(".")
        told = ": ".join(filter(None, ("the body", place)))
        raise InvalidInput(f"{told}: {broken_rule(rule)}") from None
    except UnicodeDecodeError:
        raise InvalidInput("the body: not UTF-8") from None
    except msgspec.DecodeError as error:
        mended = _replace_half_characters(body)
        if mended == body:
            raise InvalidInput(f"the body: not JSON: {error}") from None
        return _parse(mended)
    except RecursionError:
        raise InvalidInput("the body: nested too deeply") from None


def _replace_half_characters(body: bytes) -> bytes:
    """The same JSON with U+FFFD for each half of a surrogate pair.

    Exporters that cut texts at a length leave them, and the batch should not be lost for it.
    """
    return _WHOLE_OR_HALF.sub(lambda found: found[1] or rb"\ufffd", body)


_WHOLE_OR_HALF: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _read_emitter(resource: _Resource | None, place: int) -> Emitter:
    try:
        return emitter_of({} if resource is None else _read_attributes(resource.attributes))
    except Refusal as reason:
        raise emitter_fault(place, reason) from None


def _read_span(span: _Span, emitter: Emitter) -> Span:
    trace_id = _read_id("traceId", span.trace_id, _NO_TRACE)
    span_id = _read_id("spanId", span.span_id, _NO_SPAN)
    given = span.parent_span_id
    parent_id = None if given in _NO_PARENT else _read_id("parentSpanId", given, _NO_SPAN)
    started_at, ended_at = read_times(
        _read_nanoseconds("startTimeUnixNano", span.start_time_unix_nano),
        _read_nanoseconds("endTimeUnixNano", span.end_time_unix_nano),
    )
    return Span(
        trace_id,
        span_id,
        parent_id,
        span.name or "",
        started_at,
        ended_at,
        _read_attributes(span.attributes),
        [
            SpanEvent(event.name or "", _read_attributes(event.attributes))
            for event in span.events or ()
        ],
        emitter.service,
        emitter.attributes,
        parent_id is not None and is_entry(span.kind, span.flags or 0),
    )


def _named_trace(span: _Span) -> str | None:
    with suppress(Refusal):
        return _read_id("traceId", span.trace_id, _NO_TRACE)
    return None


_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_NO_PARENT: Final = (None, "", _NO_SPAN)
_HEXADECIMAL: Final = re.compile("[0-9a-f]+")


def _read_id(name: str, given: str | None, zero: str) -> str:
    if not given:
        raise Refusal(f"{name}: required, and missing")
    text = given.lower()
    if len(text) != len(zero) or not _HEXADECIMAL.fullmatch(text):
        raise Refusal(f"{name}: {_shown(given)} is not {len(zero)} hexadecimal digits")
    if text == zero:
        raise Refusal(f"{name}: all zero")
    return text


def _read_nanoseconds(name: str, given: float | str | None) -> int:
    if given is None:
        return 0
    value = _whole(given)
    if value is None or not 0 <= value < 2**64:
        raise Refusal(f"{name}: {_shown(given)} is not a number of nanoseconds since 1970")
    return value


def _read_attributes(attributes: list[_KeyValue] | None, depth: int = 1) -> dict[str, Value]:
    if attributes is None:
        return {}
    return {one.key: _read_value(one.value, depth) for one in attributes}


def _read_value(value: _AnyValue | None, depth: int) -> Value:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.array_value is not None:
        check_depth(depth)
        return [_read_value(item, depth + 1) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        check_depth(depth)
        return _read_attributes(value.kvlist_value.values, depth + 1)
    return _read_plain(value)


def _read_plain(value: _AnyValue) -> Value:
    if value.int_value is not None:
        return _read_int(value.int_value)
    if value.double_value is not None:
        return _read_double(value.double_value)
    if value.bytes_value is not None:
        return _read_bytes(value.bytes_value)
    return value.bool_value


def _read_int(given: float | str) -> int:
    value = _whole(given)
    if value is None or not -(2**63) <= value < 2**63:
        raise Refusal(f"attributes: intValue: {_shown(given)} is not a whole number of 64 bits")
    return value


def _whole(given: float | str) -> int | None:
    """The whole number that a JSON number or a text of digits means."""
    if isinstance(given, int):
        return given
    if isinstance(given, float):
        return int(given) if given.is_integer() else None
    return int(given) if _DIGITS.fullmatch(given) else None


_DIGITS: Final = re.compile("-?[0-9]{1,20}")


def _read_double(given: float | str) -> float:
    try:
        return float(given)
    except ValueError:
        raise Refusal(f"attributes: doubleValue: {_shown(given)} is not a number") from None


def _read_bytes(given: str) -> bytes:
    try:
        return binascii.a2b_base64(given)
    except ValueError:
        raise Refusal(f"attributes: bytesValue: {_shown(given)} is not base64") from None


def _shown(value: object) -> str:
    """A value as a message quotes it, short."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


_SHOWN_CHARACTERS: Final = 80
