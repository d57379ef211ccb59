"""What exporters of OpenTelemetry send over HTTP, and what they are answered."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]  # it has no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.otlp_fixtures import as_otlp_json, make_request, make_span
from tests.servers import Server, end_process, running_server

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}

LONGEST = 200_000


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that takes short bodies, and few requests from each key."""
    data = tmp_path_factory.mktemp("narrow") / "data"
    with running_server(data, max_body_bytes=LONGEST, streaming_limit=8) as server:
        yield server


def tool_span(conversation: str = "conv_1", **changes: object) -> Span:
    """A whole trace: one call of ``look``."""
    span = make_span(name="execute_tool look", **changes)
    for name, value in (
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "look"),
        ("gen_ai.conversation.id", conversation),
    ):
        span.attributes.add(key=name).value.string_value = value
    return span


def as_protobuf(*spans: Span) -> bytes:
    return make_request(*spans).SerializeToString()


def as_json(*spans: Span) -> bytes:
    return json.dumps(as_otlp_json(make_request(*spans))).encode()


def counted(client: httpx.Client, count: int) -> bool:
    """Whether so many calls of ``look`` are counted, as soon as traces have become replies."""
    for _ in range(200):
        answer = client.get("/resource-usage/action/look/usage-summary").raise_for_status()
        if answer.json()["applied_replies"] >= count:
            return bool(answer.json()["applied_replies"] == count)
        time.sleep(0.05)
    return False


def check_status(answer: httpx.Response, status: int) -> str:
    """The message of a ``google.rpc.Status``, which stands in the encoding of the request."""
    assert answer.status_code == status
    assert answer.headers["x-request-id"]
    sent = answer.request.headers.get("content-type", "").partition(";")[0].lower()
    if sent == "application/x-protobuf":
        assert answer.headers["content-type"] == "application/x-protobuf"
        told = status_pb2.Status.FromString(answer.content)
        code, message = told.code, str(told.message)
    else:
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert set(body) == {"code", "message"}
        code, message = body["code"], body["message"]
    assert (
        code
        == {
            400: code_pb2.INVALID_ARGUMENT,
            401: code_pb2.UNAUTHENTICATED,
            403: code_pb2.PERMISSION_DENIED,
            413: code_pb2.INVALID_ARGUMENT,
            415: code_pb2.INVALID_ARGUMENT,
            500: code_pb2.INTERNAL,
            503: code_pb2.UNAVAILABLE,
        }[status]
    )
    return message


def test_protobuf_and_json_are_answered_in_kind(server: Server) -> None:
    for content_type, body, expected in (
        ("application/x-protobuf", as_protobuf(tool_span()), b""),
        ("Application/X-Protobuf ; charset=utf-8", as_protobuf(tool_span()), b""),
        ("application/json", as_json(tool_span()), b"{}"),
        ('application/json; charset="UTF-8"', as_json(tool_span()), b"{}"),
    ):
        client = server.client()
        answer = client.post("/v1/traces", content=body, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.content) == (200, expected)
        kind = content_type.partition(";")[0].strip().lower()
        assert answer.headers["content-type"] == kind
        assert counted(client, 1)


def test_a_body_may_come_in_chunks_and_compressed(server: Server) -> None:
    for headers, body in (
        (PROTOBUF, as_protobuf(tool_span())),
        (PROTOBUF | GZIP, gzip.compress(as_protobuf(tool_span()))),
        (JSON | GZIP, gzip.compress(as_json(tool_span()))),
    ):
        client = server.client()
        pieces = (body[at : at + 7] for at in range(0, len(body), 7))
        answer = client.post("/v1/traces", content=pieces, headers=headers)
        assert "content-length" not in answer.request.headers
        assert answer.status_code == 200
        assert counted(client, 1)


def test_a_resent_trace_changes_no_count(client: httpx.Client) -> None:
    for _ in range(3):
        for headers, body in ((PROTOBUF, as_protobuf(tool_span())), (JSON, as_json(tool_span()))):
            assert client.post("/v1/traces", content=body, headers=headers).status_code == 200
    other = tool_span(trace_id=b"another trace...")
    client.post("/v1/traces", content=as_protobuf(other), headers=PROTOBUF)
    assert counted(client, 2)


def test_an_empty_request_is_taken(client: httpx.Client) -> None:
    for headers, body, expected in ((PROTOBUF, b"", b""), (JSON, b"{}", b"{}")):
        answer = client.post("/v1/traces", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (200, expected)


def test_spans_that_are_refused_for_good_are_told_and_the_others_are_taken(
    server: Server,
) -> None:
    spans = (tool_span(), tool_span(trace_id=bytes(16)), tool_span(span_id=b""))
    reasons = (
        "resourceSpans[0].scopeSpans[0].spans[1].traceId: all zero; "
        "resourceSpans[0].scopeSpans[0].spans[2].spanId: required, and missing"
    )
    client = server.client()
    answer = client.post("/v1/traces", content=as_protobuf(*spans), headers=PROTOBUF)
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert answer.status_code == 200
    assert (told.rejected_spans, told.error_message) == (2, reasons)
    assert counted(client, 1)
    client = server.client()
    answer = client.post("/v1/traces", content=as_json(*spans), headers=JSON)
    assert (answer.status_code, answer.json()) == (
        200,
        {"partialSuccess": {"rejectedSpans": "2", "errorMessage": reasons}},
    )
    assert counted(client, 1)


def test_a_long_body_is_taken_like_a_short_one(client: httpx.Client) -> None:
    spans = [tool_span(span_id=number.to_bytes(8, "big")) for number in range(1, 1001)]
    answer = client.post("/v1/traces", content=as_protobuf(*spans), headers=PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    assert counted(client, 1000)


def test_bad_data_is_400(client: httpx.Client) -> None:
    for headers, body, message in (
        (PROTOBUF, b"nope", "the body: not an ExportTraceServiceRequest in protobuf"),
        (PROTOBUF, as_protobuf(tool_span())[:-1], "the body: not an ExportTraceServiceRequest"),
        (JSON, b"nope", "the body: not JSON"),
        (JSON, b"", "the body: not JSON"),
        (JSON, b'{"resourceSpans": 7}', "the body: resourceSpans: is not an array or null"),
        (PROTOBUF | GZIP, as_protobuf(tool_span()), "the body: its gzip data is damaged"),
        (JSON | GZIP, gzip.compress(as_json())[:-9], "the body: its gzip data ends too early"),
    ):
        answer = client.post("/v1/traces", content=body, headers=headers)
        assert check_status(answer, 400).startswith(message)


def test_only_a_key_with_the_scope_may_send(server: Server) -> None:
    for headers in (PROTOBUF, JSON, {"Content-Type": "application/json; charset=utf-8"}):
        answer = httpx.post(f"{server.url}/v1/traces", content=b"", headers=headers)
        assert check_status(answer, 401).startswith("Authorization: missing")
        assert answer.headers["www-authenticate"] == "Bearer"
        reader = server.client(scopes=["training:read"])
        answer = reader.post("/v1/traces", content=b"", headers=headers)
        assert check_status(answer, 403) == "the key lacks the scope usage:write"
        writer = server.client(scopes=["usage:write"])
        assert writer.post("/v1/traces", content=b"{}", headers=JSON).status_code == 200


def test_a_type_or_encoding_that_is_not_read_is_415(client: httpx.Client) -> None:
    for headers, message in (
        ({}, "Content-Type: missing; send application/x-protobuf or application/json"),
        (
            {"Content-Type": "text/plain"},
            "Content-Type: 'text/plain' is not application/x-protobuf",
        ),
        (PROTOBUF | {"Content-Encoding": "zstd"}, "Content-Encoding: 'zstd' is not gzip"),
        (JSON | {"Content-Encoding": "deflate"}, "Content-Encoding: 'deflate' is not gzip"),
    ):
        answer = client.post("/v1/traces", content=b"", headers=headers)
        assert check_status(answer, 415).startswith(message)


def test_a_body_that_is_too_long_as_sent_or_inflated_is_413(narrow: Server) -> None:
    long = bytes(LONGEST + 1)
    client = narrow.client()
    empty_members = gzip.compress(b"") * (LONGEST // 20 + 1)
    for headers, body in (
        (PROTOBUF, long),
        (PROTOBUF, (long[at : at + 50_000] for at in range(0, len(long), 50_000))),
        (JSON | GZIP, gzip.compress(long)),
        (PROTOBUF | GZIP, (gzip.compress(long) for _ in range(1))),
        (PROTOBUF | GZIP, empty_members),
        (
            PROTOBUF | GZIP,
            (empty_members[at : at + 50_000] for at in range(0, len(empty_members), 50_000)),
        ),
    ):
        answer = client.post("/v1/traces", content=body, headers=headers)
        assert (
            check_status(answer, 413)
            == "the body: longer than 200000 bytes; export fewer spans at once"
        )
    padding = make_span(name="x" * (LONGEST - 200))
    just_right = client.post("/v1/traces", content=as_protobuf(padding), headers=PROTOBUF)
    assert just_right.status_code == 200


def test_a_connection_whose_body_was_not_read_is_not_used_again(client: httpx.Client) -> None:
    for length in (5_000, 60_000, 500_000) * 5:
        answer = client.post("/v1/traces", content=bytes(length))
        check_status(answer, 415)
        assert answer.headers["connection"] == "close"
    answer = client.post("/v1/traces", content=b"x" * 60_000, headers=JSON)
    check_status(answer, 400)
    assert "connection" not in answer.headers


def test_a_decompression_bomb_is_413_and_takes_little_memory(tmp_path: Path) -> None:
    member = gzip.compress(bytes(64 * 1024 * 1024), compresslevel=1)
    bomb = member * 64  # 4 GiB
    with running_server(tmp_path / "data") as server:
        client = server.client()
        client.post("/v1/traces", content=b"", headers=PROTOBUF)
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        answer = client.post("/v1/traces", content=bomb, headers=PROTOBUF | GZIP)
        check_status(answer, 413)
        peak = peak_bytes(server.process.pid)
    assert peak - before < 150 * 1024 * 1024


def peak_bytes(process_id: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_a_key_that_sends_too_often_is_told_503_and_never_429(narrow: Server) -> None:
    client = narrow.client()
    for _ in range(8):
        answer = client.post("/v1/traces", content=b"", headers=PROTOBUF)
        assert answer.status_code == 200
    for headers in (PROTOBUF, JSON):
        answer = client.post("/v1/traces", content=b"{}", headers=headers)
        seconds = int(answer.headers["retry-after"])
        assert 50 <= seconds <= 60
        assert f"try again in {seconds} s" in check_status(answer, 503)
        assert answer.headers["ratelimit"].startswith('"streaming";r=0;')


def test_a_full_inbox_is_503_with_retry_after_and_takes_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", inbox_max_spans=10, trace_quiet_seconds=3600) as server:
        client = server.client()
        waiting = [
            tool_span(span_id=number.to_bytes(8, "big"), parent_span_id=b"unknown!")
            for number in range(1, 12)
        ]
        answer = client.post("/v1/traces", content=as_protobuf(*waiting), headers=PROTOBUF)
        assert check_status(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
        answer = client.post("/v1/traces", content=as_protobuf(*waiting[:5]), headers=PROTOBUF)
        assert answer.status_code == 200


def test_what_nobody_expected_is_500_in_the_same_form(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client()
        with server.store._database.writing() as db:  # type: ignore[attr-defined]  # noqa: SLF001 (a damaged file)
            db.execute("UPDATE api_key SET created_at = 'not a time'")
        answer = client.post(
            "/v1/traces", content=b"", headers=PROTOBUF | {"X-Request-Id": "find-me"}
        )
    assert "the service's log has it as find-me" in check_status(answer, 500)
    assert answer.headers["x-request-id"] == "find-me"


def test_the_path_takes_post_alone(client: httpx.Client) -> None:
    answer = client.get("/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_what_was_acknowledged_survives_a_killed_process(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data, trace_quiet_seconds=3600) as server:
        org = server.new_org()
        waits = tool_span(parent_span_id=b"the root")
        answer = server.client(org).post("/v1/traces", content=as_protobuf(waits), headers=PROTOBUF)
        os.kill(server.process.pid, signal.SIGKILL)
        assert answer.status_code == 200
        end_process(server.process)
    with running_server(data, trace_quiet_seconds=3600) as server:
        root = make_span(span_id=b"the root")
        client = server.client(org)
        client.post("/v1/traces", content=as_protobuf(root), headers=PROTOBUF)
        assert counted(client, 1)


_AGENT = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("agent")
for turn in range(100):
    with tracer.start_as_current_span("turn"):
        with tracer.start_as_current_span("execute_tool look") as span:
            span.set_attribute("gen_ai.operation.name", "execute_tool")
            span.set_attribute("gen_ai.tool.name", "look")
            span.set_attribute("gen_ai.conversation.id", f"conv_{turn % 7}")
assert provider.force_flush()
provider.shutdown()
"""


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_an_exporter_needs_two_variables_and_nothing_else(server: Server, compression: str) -> None:
    client = server.client(scopes=None)
    key = client.headers["authorization"].removeprefix("Bearer ")
    environ = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = server.url
    environ["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer {key}"
    environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = compression
    agent = subprocess.run(
        [sys.executable, "-c", _AGENT],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (agent.returncode, agent.stderr) == (0, "")
    assert counted(client, 100)


def test_the_documents_example_is_taken(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/traces"]["post"]
    body = operation["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-protobuf"}
    answer = client.post("/v1/traces", json=body["application/json"]["example"])
    assert (answer.status_code, answer.json()) == (200, {})
    assert "429" not in operation["responses"]
    for status, response in operation["responses"].items():
        assert set(response["content"]) == set(body)
        schema = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert schema == ("ExportTraceServiceResponse" if status == "200" else "Status")
