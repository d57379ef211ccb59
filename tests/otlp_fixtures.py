"""Requests of OpenTelemetry exporters: real ones from beside the checkout, and ones made here."""

import base64
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

FOLDER = Path(__file__).parents[2] / "shared" / "otel" / "fixtures"
_END = ".otlp.pb.gz"

TRACE_ID = bytes(range(16))
SPAN_ID = bytes(range(8))


def fixture_names() -> list[str]:
    """The names of the captured requests; the test that asks is skipped where there are none."""
    names = sorted(path.name.removesuffix(_END) for path in FOLDER.glob(f"*{_END}"))
    if not names:
        told = f"THE CAPTURED REQUESTS ARE MISSING: none in {FOLDER}; nothing here is tested"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(told, pytrace=False)
        pytest.skip(told)
    return names


def captured_protobuf(name: str) -> bytes:
    """A captured request's body, inflated."""
    return gzip.decompress((FOLDER / (name + _END)).read_bytes())


def captured_json(name: str) -> bytes:
    """The same request in OTLP/JSON."""
    return (FOLDER / f"{name}.otlp.json").read_bytes()


def make_span(**changes: Any) -> Span:
    """A span that keeps all rules, but for the changes."""
    given: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "invoke_agent",
        "start_time_unix_nano": 1_772_359_200_000_001_000,
        "end_time_unix_nano": 1_772_359_201_000_001_999,
    }
    return Span(**(given | changes))


def make_request(*spans: Span) -> ExportTraceServiceRequest:
    """A request with one emitter and one scope."""
    request = ExportTraceServiceRequest()
    of_emitter = request.resource_spans.add()
    service = of_emitter.resource.attributes.add(key="service.name")
    service.value.string_value = "support-agent"
    of_emitter.scope_spans.add().spans.extend(spans)
    return request


def as_otlp_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """What an exporter of OTLP/JSON sends for a request: ids in hexadecimal digits."""
    sent: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    for of_emitter in sent.get("resourceSpans", ()):
        for of_scope in of_emitter.get("scopeSpans", ()):
            for span in of_scope.get("spans", ()):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex()
    return sent


def field(number: int, raw: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(value: int) -> bytes:
    """A number of protobuf, seven bits a byte."""
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
