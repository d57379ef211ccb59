"""A request's body becomes its spans, the same ones from either encoding."""

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from applyrate.errors import InvalidInput, PayloadTooLarge
from applyrate.intake.otlp import Decoded, decode_json, decode_protobuf
from applyrate.intake.otlp.decoded import MAX_DEPTH, MAX_SPANS
from applyrate.intake.otlp.protobuf import MAX_SPAN_BYTES
from applyrate.intake.spans import SpanEvent
from tests.otlp_fixtures import (
    SPAN_ID,
    TRACE_ID,
    as_otlp_json,
    captured_json,
    captured_protobuf,
    field,
    fixture_names,
    make_request,
    make_span,
    varint,
)

FIRST = "resourceSpans[0].scopeSpans[0].spans[0]"


def by_protobuf(request: ExportTraceServiceRequest) -> Decoded:
    return decode_protobuf(request.SerializeToString())


def by_json(request: ExportTraceServiceRequest) -> Decoded:
    return decode_json(json.dumps(as_otlp_json(request)).encode())


BOTH = pytest.mark.parametrize("decode", [by_protobuf, by_json])
Decode = Callable[[ExportTraceServiceRequest], Decoded]


def json_span(**changes: Any) -> dict[str, Any]:
    span = as_otlp_json(make_request(make_span()))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return {**span, **changes}


def decode_json_spans(*spans: Any) -> Decoded:
    return decode_json(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode())


def json_value(value: Any) -> Any:
    decoded = decode_json_spans(json_span(attributes=[{"key": "a", "value": value}]))
    assert decoded.reasons == []
    return decoded.spans[0].attributes["a"]


def test_a_captured_request_has_the_same_spans_in_both_encodings() -> None:
    for name in fixture_names():
        decoded = decode_protobuf(captured_protobuf(name))
        assert decoded == decode_json(captured_json(name))
        sent = ExportTraceServiceRequest.FromString(captured_protobuf(name))
        assert [span.span_id for span in decoded.spans] == [
            span.span_id.hex()
            for of_emitter in sent.resource_spans
            for of_scope in of_emitter.scope_spans
            for span in of_scope.spans
        ]
        assert decoded.refused_count == 0


@BOTH
def test_a_span_is_read_whole(decode: Decode) -> None:
    sent = make_span(parent_span_id=b"parentid", kind=Span.SPAN_KIND_CLIENT)
    sent.attributes.add(key="gen_ai.tool.name").value.string_value = "lookup_order"
    sent.events.add(name="cited").attributes.add(key="id").value.string_value = "kb_7"
    (span,) = decode(make_request(sent)).spans
    assert (span.trace_id, span.span_id) == (TRACE_ID.hex(), SPAN_ID.hex())
    assert span.parent_id == b"parentid".hex()
    assert span.name == "invoke_agent"
    assert (span.started_at, span.ended_at) == (1_772_359_200_000_001, 1_772_359_201_000_001)
    assert span.attributes == {"gen_ai.tool.name": "lookup_order"}
    assert span.events == [SpanEvent("cited", {"id": "kb_7"})]
    assert span.service == "support-agent"
    assert span.emitter == {"service.name": "support-agent"}
    assert not span.is_entry


@BOTH
def test_values_keep_their_types(decode: Decode) -> None:
    sent = make_span()
    value = sent.attributes.add(key="all").value.kvlist_value
    for name, plain in (
        ("string_value", "ä"),
        ("string_value", ""),
        ("bool_value", False),
        ("bool_value", True),
        ("int_value", 0),
        ("int_value", -(2**63)),
        ("double_value", 1.5),
        ("double_value", math.inf),
        ("bytes_value", b"\0\xff"),
        ("bytes_value", b""),
    ):
        setattr(value.values.add(key=f"{plain!r}").value, name, plain)
    value.values.add(key="none")
    items = value.values.add(key="items").value.array_value
    items.values.add().string_value = "a"
    items.values.add()
    (span,) = decode(make_request(sent)).spans
    assert span.attributes == {
        "all": {
            "'ä'": "ä",
            "''": "",
            "False": False,
            "True": True,
            "0": 0,
            str(-(2**63)): -(2**63),
            "1.5": 1.5,
            "inf": math.inf,
            repr(b"\0\xff"): b"\0\xff",
            "b''": b"",
            "none": None,
            "items": ["a", None],
        }
    }


PLAIN = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: AnyValue(string_value=text)),
    st.booleans().map(lambda value: AnyValue(bool_value=value)),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: AnyValue(int_value=value)),
    st.floats(allow_nan=False).map(lambda value: AnyValue(double_value=value)),
    st.binary().map(lambda value: AnyValue(bytes_value=value)),
    st.just(AnyValue()),
)


def nested(inner: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    def list_of(values: list[AnyValue]) -> AnyValue:
        value = AnyValue()
        value.array_value.values.extend(values)
        value.array_value.SetInParent()
        return value

    def object_of(values: dict[str, AnyValue]) -> AnyValue:
        value = AnyValue()
        value.kvlist_value.SetInParent()
        for key, item in values.items():
            value.kvlist_value.values.append(KeyValue(key=key, value=item))
        return value

    return st.lists(inner).map(list_of) | st.dictionaries(st.sampled_from("ab"), inner).map(
        object_of
    )


@given(st.recursive(PLAIN, nested, max_leaves=10))
def test_both_encodings_mean_the_same_value(value: AnyValue) -> None:
    request = make_request(make_span(attributes=[KeyValue(key="a", value=value)]))
    assert by_protobuf(request) == by_json(request)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trace_id": b""}, "traceId: required, and missing"),
        ({"trace_id": bytes(16)}, "traceId: all zero"),
        ({"span_id": b""}, "spanId: required, and missing"),
        ({"span_id": bytes(8)}, "spanId: all zero"),
        (
            {"start_time_unix_nano": 0, "end_time_unix_nano": 0},
            "endTimeUnixNano: required, and missing",
        ),
    ],
)
@BOTH
def test_a_span_that_breaks_a_rule_is_refused_alone(
    decode: Decode, changes: dict[str, Any], reason: str
) -> None:
    decoded = decode(make_request(make_span(**changes), make_span(name="neighbour")))
    assert [span.name for span in decoded.spans] == ["neighbour"]
    assert decoded.refused_count == 1
    assert decoded.message == f"{FIRST}.{reason}"


@pytest.mark.parametrize(
    ("name", "length", "right"),
    [
        ("trace_id", 15, 16),
        ("trace_id", 17, 16),
        ("trace_id", 8, 16),
        ("span_id", 7, 8),
        ("span_id", 16, 8),
        ("parent_span_id", 7, 8),
    ],
)
def test_an_id_of_another_length_is_refused(name: str, length: int, right: int) -> None:
    request = make_request(make_span(**{name: b"\1" * length}))
    head, *rest = name.split("_")
    told = head + "".join(map(str.title, rest))
    assert by_protobuf(request).message == f"{FIRST}.{told}: {length} bytes, and an id has {right}"
    digits = "01" * length
    assert (
        by_json(request).message
        == f"{FIRST}.{told}: {digits!r} is not {right * 2} hexadecimal digits"
    )


@pytest.mark.parametrize(
    "trace_id", ["W47/95gDgQPSabYzgTYGDA==", "5b8efff7 98038103d269b633813fc60c"[:32], "g" * 32]
)
def test_an_id_in_anything_but_hexadecimal_digits_is_refused(trace_id: str) -> None:
    decoded = decode_json_spans(json_span(traceId=trace_id))
    assert decoded.message == f"{FIRST}.traceId: {trace_id!r} is not 32 hexadecimal digits"


def test_hexadecimal_digits_may_be_of_any_case() -> None:
    (span,) = decode_json_spans(
        json_span(
            traceId="5B8EFFF798038103D269B633813FC60C",
            spanId="EEE19B7EC3C1B174",
            parentSpanId="eee19B7EC3C1B173",
        )
    ).spans
    assert span.trace_id == "5b8efff798038103d269b633813fc60c"
    assert (span.span_id, span.parent_id) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")


@BOTH
def test_a_parent_of_zeros_is_none(decode: Decode) -> None:
    for parent in (b"", bytes(8)):
        (span,) = decode(make_request(make_span(parent_span_id=parent))).spans
        assert span.parent_id is None


@BOTH
def test_a_missing_time_is_taken_from_the_other(decode: Decode) -> None:
    for missing in ("start_time_unix_nano", "end_time_unix_nano"):
        (span,) = decode(make_request(make_span(**{missing: 0}))).spans
        assert span.started_at == span.ended_at
        assert span.started_at // 10**9 == 1_772_359


def test_times_and_numbers_in_json_may_be_text_or_numbers() -> None:
    (span,) = decode_json_spans(
        json_span(startTimeUnixNano=1772359200000000999, endTimeUnixNano="1772359201000000999")
    ).spans
    assert (span.started_at, span.ended_at) == (1_772_359_200_000_000, 1_772_359_201_000_000)
    for number, meant in ((7, 7), ("7", 7), ("-9223372036854775808", -(2**63)), (7.0, 7)):
        assert json_value({"intValue": number}) == meant
    for real, worth in (("1.5", 1.5), ("Infinity", math.inf), (3, 3.0)):
        assert json_value({"doubleValue": real}) == worth
    assert math.isnan(json_value({"doubleValue": "NaN"}))


@pytest.mark.parametrize("given", [-1, "-1", 2**64, "2e9", "", "1" * 30, 1.5, "٣"])
def test_a_time_out_of_range_is_refused(given: Any) -> None:
    decoded = decode_json_spans(json_span(endTimeUnixNano=given))
    assert decoded.message == (
        f"{FIRST}.endTimeUnixNano: {given!r} is not a number of nanoseconds since 1970"
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"intValue": "9223372036854775808"}, "is not a whole number of 64 bits"),
        ({"intValue": 1.5}, "is not a whole number of 64 bits"),
        ({"doubleValue": "much"}, "is not a number"),
        ({"bytesValue": "x"}, "is not base64"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(value: Any, reason: str) -> None:
    decoded = decode_json_spans(json_span(attributes=[{"key": "a", "value": value}]), json_span())
    ((field, given),) = value.items()
    assert decoded.message == f"{FIRST}.attributes: {field}: {given!r} {reason}"
    assert len(decoded.spans) == 1


@pytest.mark.parametrize(
    ("kind", "flags", "is_entry"),
    [
        (Span.SPAN_KIND_INTERNAL, 0x300, True),
        (Span.SPAN_KIND_INTERNAL, 0x100, False),
        (Span.SPAN_KIND_SERVER, 0x100, False),
        (Span.SPAN_KIND_INTERNAL, 0x200, False),
        (Span.SPAN_KIND_SERVER, 1, True),
        (Span.SPAN_KIND_CONSUMER, 0, True),
        (Span.SPAN_KIND_CLIENT, 0, False),
    ],
)
@BOTH
def test_a_parent_in_another_process_is_told_by_the_flags_or_else_the_kind(
    decode: Decode, kind: Span.SpanKind, flags: int, *, is_entry: bool
) -> None:
    sent = make_span(parent_span_id=b"parentid", kind=kind, flags=flags)
    (span,) = decode(make_request(sent)).spans
    assert span.is_entry is is_entry
    (root,) = decode(make_request(make_span(kind=kind, flags=flags))).spans
    assert not root.is_entry


def test_the_spans_of_one_emitter_share_its_attributes() -> None:
    request = make_request(make_span(), make_span())
    request.resource_spans.add().scope_spans.add().spans.append(make_span())
    for decode in (by_protobuf, by_json):
        one, two, other = decode(request).spans
        assert one.emitter is two.emitter
        assert (other.emitter, other.service) == ({}, "")


def test_an_emitter_may_come_in_parts_and_after_its_spans() -> None:
    whole = make_request(make_span()).resource_spans[0]
    part = ResourceSpans()
    part.resource.attributes.add(key="host").value.string_value = "a"
    raw = ResourceSpans(scope_spans=whole.scope_spans).SerializeToString()
    raw += part.SerializeToString() + ResourceSpans(resource=whole.resource).SerializeToString()
    (span,) = decode_protobuf(field(1, raw)).spans
    assert span.emitter == {"host": "a", "service.name": "support-agent"}
    assert span.service == "support-agent"


def test_what_we_do_not_know_is_ignored() -> None:
    unknown = varint(100 << 3) + varint(2**64 - 1) + field(101, b"x")
    unknown += varint(102 << 3 | 1) + bytes(8) + varint(103 << 3 | 5) + bytes(4)
    span = make_span().SerializeToString() + unknown
    scope = field(1, b"") + unknown + field(2, span)
    body = unknown + field(1, unknown + field(2, scope) + unknown) + unknown
    assert len(decode_protobuf(body).spans) == 1
    sent = as_otlp_json(make_request(make_span()))
    of_emitter = sent["resourceSpans"][0]
    for known in (sent, of_emitter, of_emitter["scopeSpans"][0], of_emitter["resource"]):
        known["new"] = {"deep": [1, "x", None]}
    of_emitter["scopeSpans"][0]["spans"][0] |= {"new": [], "status": {"code": 1}, "links": [{}]}
    assert decode_json(json.dumps(sent).encode()) == by_protobuf(make_request(make_span()))


def test_null_is_a_field_that_was_left_out() -> None:
    fields = ("parentSpanId", "kind", "flags", "attributes", "events", "startTimeUnixNano", "name")
    (span,) = decode_json_spans(json_span(**dict.fromkeys(fields))).spans
    assert (span.parent_id, span.attributes, span.events, span.name) == (None, {}, [], "")
    assert json_value(None) is json_value({}) is json_value({"stringValue": None}) is None
    for body in ('{"resourceSpans":null}', '{"resourceSpans":[{"scopeSpans":null}]}'):
        assert decode_json(body.encode()) == Decoded()


def test_an_empty_request_has_no_spans() -> None:
    assert decode_protobuf(b"") == decode_json(b"{}") == Decoded()
    assert by_protobuf(make_request()) == by_json(make_request()) == Decoded()


def test_a_body_that_is_cut_off_is_refused_wherever_the_cut_is() -> None:
    for decode, body in (
        (decode_protobuf, make_request(make_span(), make_span()).SerializeToString()),
        (decode_json, json.dumps(as_otlp_json(make_request(make_span()))).encode()),
    ):
        for length in range(1, len(body)):
            with pytest.raises(InvalidInput, match=r"^the body: not "):
                decode(body[:length])


@pytest.mark.parametrize(
    "body", [b"nope", b"\x0b\x0c", b"\xff" * 11, b'{"resourceSpans":[]}', b"\x1f\x8b\x08\x00"]
)
def test_what_is_not_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="not an ExportTraceServiceRequest in protobuf"):
        decode_protobuf(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body: not JSON: Input data was truncated"),
        (b"nope", "the body: not JSON: "),
        (b'{"resourceSpans":[\xff]}', "the body: not JSON: "),
        (b'{"resourceSpans":"\xff"}', "the body: resourceSpans: is not an array or null"),
        (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\xff"}]}]}]}',
            "the body: not UTF-8",
        ),
        (b"[]", "the body: is not an object"),
        (b'{"resourceSpans":7}', "the body: resourceSpans: is not an array or null"),
        (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":5}]}]}]}',
            "the body: resourceSpans[0].scopeSpans[0].spans[0].name: is not a string or null",
        ),
        (
            b'{"resource_spans":[]}',
            "resource_spans: OTLP/JSON has its field names in lowerCamelCase; send resourceSpans",
        ),
    ],
)
def test_what_is_not_otlp_json_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_json(body)
    assert caught.value.message.startswith(message)


def test_a_damaged_span_does_not_take_its_neighbours_with_it() -> None:
    good = make_span().SerializeToString()
    for damage in (field(5, b"\xff\xfe"), b"\x4b", varint(9 << 3 | 2) + b"\x7f"):
        scope = b"".join(field(2, raw) for raw in (good, good + damage, good))
        decoded = decode_protobuf(field(1, field(2, scope)))
        assert len(decoded.spans) == 2
        assert decoded.message == (
            "resourceSpans[0].scopeSpans[0].spans[1].attributes:"
            " damaged, nested too deeply, or text that is not UTF-8"
        )


def test_half_a_character_does_not_lose_the_batch() -> None:
    texts = {
        r"a\ud83d": "a\ufffd",
        r"\udc00b": "\ufffdb",
        r"\ud83d\ude00\ud83d": "\U0001f600\ufffd",
        r"\\ud83d \ud83d": r"\ud83d " + "\ufffd",
        r"\uD83D\uD83D\uDE00": "\ufffd\U0001f600",
    }
    for text, meant in texts.items():
        body = json.dumps(as_otlp_json(make_request(make_span(name="NAME")))).encode()
        (span,) = decode_json(body.replace(b"NAME", text.encode())).spans
        assert span.name == meant


def deep_value(depth: int) -> AnyValue:
    value = AnyValue(string_value="x")
    for level in range(depth):
        outer = AnyValue()
        if level % 2:
            outer.kvlist_value.values.append(KeyValue(key="a", value=value))
        else:
            outer.array_value.values.append(value)
        value = outer
    return value


@BOTH
def test_a_value_that_is_nested_too_deeply_is_refused(decode: Decode) -> None:
    for depth, refused_count in ((MAX_DEPTH, 0), (MAX_DEPTH + 1, 1)):
        attributes = [KeyValue(key="a", value=deep_value(depth))]
        decoded = decode(make_request(make_span(attributes=attributes), make_span()))
        assert decoded.refused_count == refused_count
        assert len(decoded.spans) == 2 - refused_count
    assert decoded.message == f"{FIRST}.attributes: one is nested more than 32 levels deep"


def test_no_depth_of_nesting_exhausts_the_stack() -> None:
    value = b""
    for _ in range(20_000):
        value = field(5, field(1, value))
    span = make_span().SerializeToString() + field(9, field(1, b"a") + field(2, value))
    assert decode_protobuf(field(1, field(2, field(2, span)))).refused_count == 1
    opening = b'{"arrayValue":{"values":['
    for body in (
        b'{"resourceSpans":[{"resource":{"attributes":[{"value":' + opening * 20_000,
        b'{"x":' + b"[" * 1_000_000,
        b"[" * 1_000_000,
    ):
        with pytest.raises(InvalidInput):
            decode_json(body)


def test_an_emitter_that_breaks_a_rule_is_an_error_of_the_whole() -> None:
    request = make_request(make_span())
    request.resource_spans[0].resource.attributes.append(KeyValue(key="a", value=deep_value(33)))
    for decode in (by_protobuf, by_json):
        with pytest.raises(InvalidInput, match=r"resourceSpans\[0\].resource.attributes: one is"):
            decode(request)


def test_of_many_refused_spans_the_first_are_told_and_all_are_counted() -> None:
    decoded = by_protobuf(make_request(*[make_span(span_id=b"")] * 10))
    assert (decoded.refused_count, decoded.spans) == (10, [])
    assert decoded.message.endswith("spans[2].spanId: required, and missing; and 7 more")
    assert decoded.message.count("spanId") == 3


def test_more_spans_than_a_request_may_hold_are_too_many() -> None:
    with pytest.raises(PayloadTooLarge, match="more than 100000 spans"):
        decode_protobuf(field(1, field(2, b"\x12\0" * (MAX_SPANS + 1))))
    with pytest.raises(PayloadTooLarge, match="more than 100000 spans"):
        decode_protobuf(b"\x0a\0" * (MAX_SPANS + 1))
    spans = b",".join([b"{}"] * (MAX_SPANS + 1))
    with pytest.raises(PayloadTooLarge, match="more than 100000 spans"):
        decode_json(b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + spans + b"]}]}]}")


def test_a_span_that_is_too_long_is_refused_alone() -> None:
    long = make_span()
    long.attributes.add(key="a").value.string_value = "x" * MAX_SPAN_BYTES
    decoded = by_protobuf(make_request(long, make_span()))
    assert (len(decoded.spans), decoded.refused_count) == (1, 1)
    assert f"bytes in all, and {MAX_SPAN_BYTES} are the most" in decoded.message


_MEASURE = """
import resource
from contextlib import suppress
from applyrate.errors import ApplyrateError
from applyrate.intake.otlp import decode_json, decode_protobuf
from tests.otlp_fixtures import field

SIZE = 32 * 1024 * 1024
span = field(1, bytes(16)) + field(2, b"x" * 8)
bodies = [
    (decode_protobuf, field(1, field(2, bytes([0x12, 0]) * (SIZE // 2)))),
    (decode_protobuf, bytes([0x0A, 0]) * (SIZE // 2)),
    (decode_protobuf, field(1, field(2, field(2, span + bytes([0x6A, 0]) * (SIZE // 2))))),
    (decode_json, b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * (SIZE // 3)),
    (decode_json, b'{"x":' + b"[]," * (SIZE // 3)),
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for decode, body in bodies:
    with suppress(ApplyrateError):
        decode(body)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_no_body_takes_memory_without_bounds() -> None:
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True
    )
    assert int(measured.stdout) < 200, "MiB, beside the body of 32"


def test_damage_anywhere_raises_nothing_but_what_is_told() -> None:
    chance = random.Random(7)  # noqa: S311 (the same every time)
    for name in fixture_names():
        for decode, body in (
            (decode_protobuf, captured_protobuf(name)),
            (decode_json, captured_json(name)),
        ):
            for _ in range(30):
                damaged = bytearray(body)
                for _ in range(chance.randint(1, 5)):
                    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
                with suppress(InvalidInput):
                    decode(bytes(damaged))
