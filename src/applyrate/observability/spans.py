"""Spans of the service, by OpenTelemetry's semantic conventions for HTTP servers and databases.

This module needs the extra ``telemetry``; ``tracing`` says when it is imported.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

CLOSE_SECONDS: Final = 3
"""How long the last export may take at the end of the service."""

_SERVER_ERROR: Final = 500
_OPENING: Final = "/dashboard/open/"
"""What follows opens a session; of such an address the route is told alone."""


class Spans:
    """The spans of this process, exported in the background by a thread of its own."""

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=_describe_service(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("applyrate", version("applyrate"))

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator["ServerSpan"]:
        """A span of kind SERVER, in the trace that the request's ``traceparent`` names."""
        method = str(scope["method"])
        with self._tracer.start_as_current_span(
            method,
            _PROPAGATOR.extract(_carrier(scope)),
            SpanKind.SERVER,
            _request_attributes(method, scope),
        ) as span:
            yield ServerSpan(span, method, str(scope["path"]))

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """A span inside that of the request."""
        if not trace.get_current_span().is_recording():
            yield
            return
        with self._tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT, attributes=_DATABASE_ATTRIBUTES
        ):
            yield

    def close(self) -> None:
        """Export what is left. A receiver that does not answer holds up nobody for long."""
        last = Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)


class ServerSpan:
    """The span of one request."""

    def __init__(self, span: Span, method: str, path: str) -> None:
        self._span = span
        self._method = method
        self._path = path

    def answer(self, route: str, status: int) -> None:
        """Note which route it was, and how it was answered."""
        secret = self._path.startswith(_OPENING)
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attribute("http.route", route)
        self._span.set_attribute("url.path", route if secret else self._path)
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(Status(StatusCode.ERROR))


def _describe_service() -> Resource:
    """The service's name and version, unless the environment gives it others."""
    ours = {"service.name": "applyrate", "service.version": version("applyrate")}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _carrier(scope: Mapping[str, Any]) -> dict[str, str]:
    wanted = (b"traceparent", b"tracestate")
    return {
        name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted
    }


def _request_attributes(method: str, scope: Mapping[str, Any]) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.scheme": str(scope["scheme"]),
        "network.protocol.version": str(scope["http_version"]),
    }
    if scope.get("client"):
        attributes["client.address"] = str(scope["client"][0])
    if scope.get("server"):
        address, port = scope["server"]
        attributes |= {"server.address": str(address), "server.port": int(port)}
    for name, value in scope["headers"]:
        if name == b"user-agent":
            attributes["user_agent.original"] = value.decode("latin-1")
    return attributes


_DATABASE_ATTRIBUTES: Final = {"db.system.name": "sqlite"}
_PROPAGATOR: Final = TraceContextTextMapPropagator()
