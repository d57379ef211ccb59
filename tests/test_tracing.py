"""The service's own traces: spans that a real receiver gets, and none of its own exports."""

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.monitoring import agent_trace, json_lines, metrics_of, told, wait_until
from tests.servers import end_process, running_server, start_process

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REPLY = {"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


class Receiver(ThreadingHTTPServer):
    """A receiver of OTLP that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def span(self, name: str) -> Span:
        """The one span of a name, for which it waits."""
        wait_until(lambda: any(span.name == name for span in self.spans))
        (found,) = [span for span in self.spans if span.name == name]
        return found


class Take(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Receiver)
        assert self.path == "/v1/traces"
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        set_environ(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **FAST)
        yield receiver
        receiver.shutdown()
        thread.join()


def set_environ(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def attributes_of(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.int_value or pair.value.string_value for pair in span.attributes}


def test_a_request_is_a_span_by_the_conventions_in_the_trace_it_names(
    receiver: Receiver, tmp_path: Path
) -> None:
    with running_server(tmp_path / "data") as server:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "User-Agent": "test/1"}
        path = "/resource-usage/action/look%2Fup/usage-summary"
        server.client().get(f"{path}?from=2026-03-01", headers=headers).raise_for_status()
        span = receiver.span("GET /resource-usage/{resource_type}/{resource_id}/usage-summary")
        question = receiver.span("store summary")
        port = httpx.URL(server.url).port
    assert span.kind == Span.SPAN_KIND_SERVER
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.status.code == Status.STATUS_CODE_UNSET
    told = attributes_of(span)
    assert told.pop("client.address") == "127.0.0.1"
    assert told == {
        "http.request.method": "GET",
        "http.route": "/resource-usage/{resource_type}/{resource_id}/usage-summary",
        "http.response.status_code": 200,
        "url.path": path,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "user_agent.original": "test/1",
    }
    assert question.parent_span_id == span.span_id
    assert attributes_of(question) == {"db.system.name": "sqlite"}
    (resource,) = {
        str(attributes_of(one.resource))  # type: ignore[arg-type]  # it has attributes, too
        for request in receiver.requests
        for one in request.resource_spans
    }
    assert "'service.name': 'applyrate'" in resource


def test_the_wait_for_a_commit_is_a_span_of_its_request(receiver: Receiver, tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        server.client().post("/replies", json=REPLY).raise_for_status()
        commit, request = receiver.span("commit store"), receiver.span("POST /replies")
    assert commit.parent_span_id == request.span_id
    assert commit.trace_id == request.trace_id
    assert request.start_time_unix_nano <= commit.start_time_unix_nano
    assert commit.end_time_unix_nano <= request.end_time_unix_nano


def test_a_question_that_a_thread_answers_is_a_span_of_its_request(
    receiver: Receiver, tmp_path: Path
) -> None:
    with running_server(tmp_path / "data") as server:
        server.client().get("/resource-usage/action").raise_for_status()
        request = receiver.span("GET /resource-usage/{resource_type}")
        assert receiver.span("store resources").parent_span_id == request.span_id


def test_an_error_is_one_in_the_span_and_a_secret_address_is_none(
    receiver: Receiver, tmp_path: Path
) -> None:
    with running_server(tmp_path / "data") as server:
        httpx.get(f"{server.url}/dashboard/open/secret")
        opened = receiver.span("GET /dashboard/open/{link}")
        client = server.client()
        with server.store._database.writing() as db:  # type: ignore[attr-defined]  # noqa: SLF001 (a damaged file)
            db.execute("UPDATE api_key SET created_at = 'not a time'")
        assert client.get("/keys").status_code == 500
        failed = receiver.span("GET /keys")
    assert "secret" not in str(opened)
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert attributes_of(failed)["error.type"] == "500"


def test_what_is_left_is_exported_at_the_end(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with running_server(tmp_path / "data") as server:
        httpx.get(f"{server.url}/health/live")
        assert receiver.spans == []
    assert "GET /health/live" in {span.name for span in receiver.spans}


def test_exports_are_not_traced_even_where_the_service_exports_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_server(tmp_path / "data") as server:
        key = server.new_key("default")
    set_environ(
        monkeypatch,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{key}",
        **FAST,
    )
    exports = "applyrate_http_requests_total|method=POST|route=/v1/traces|status=200"
    with running_server(tmp_path / "data", port=port, metrics="open") as server:
        client = server.client()
        client.post("/replies", json=REPLY).raise_for_status()
        trace = agent_trace("ab" * 16, gen_ai__conversation__id="conv")
        client.post("/v1/traces", json=trace).raise_for_status()
        quiet = [0.0]
        while len(quiet) < 4 or len(set(quiet[-3:])) > 1:
            assert len(quiet) < 20, f"exports go on and on: {quiet}"
            time.sleep(0.5)
            # Its own span is not exported before the next look: one export, and no more.
            quiet.append(metrics_of(client).get(exports, 0) - len(quiet))
        assert metrics_of(client)["applyrate_spans_accepted_total"] > 1


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' is not"),
        ({"PYTHONPATH": "{hidden}"}, "a package is missing; install applyrate[telemetry]"),
    ],
)
def test_tracing_that_cannot_be_is_told_and_stops_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variables: dict[str, str],
    problem: str,
) -> None:
    hide = "import sys; sys.modules['opentelemetry.sdk'] = None" if "missing" in problem else ""
    set_environ(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    if not hide:
        set_environ(monkeypatch, **variables)
    with running_server(tmp_path / "data", prelude=hide, log_format="json") as server:
        assert httpx.get(f"{server.url}/health/live").status_code == 200
    (line,) = told(json_lines(capfd.readouterr().err), "tracing_unavailable")
    assert line["problem"].startswith(problem)


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_of_opentelemetry_runs_unless_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_environ(monkeypatch, **variables)
    look = (
        "import atexit, sys, os, applyrate.api.app as app; create = app.create_app\n"
        "def look(*given):\n"
        "    made = create(*given)\n"
        "    assert 'opentelemetry.sdk' not in sys.modules\n"
        "    return made\n"
        "serving.create_app = look"
    )
    with running_server(tmp_path / "data", prelude=look) as server:
        assert httpx.get(f"{server.url}/health/live").status_code == 200


def test_a_receiver_that_is_not_there_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nobody.listen(1)  # it accepts, and never answers
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        set_environ(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **FAST)
        process, url = start_process(tmp_path / "data")
        assert httpx.get(f"{url}/health/live").status_code == 200
        began_at = time.monotonic()
        assert end_process(process) == 0
        assert time.monotonic() - began_at < 10
