"""Traces of the service itself, where OpenTelemetry's own variables ask for them.

They are exported once ``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` is
set and the extra ``telemetry`` is installed; without both nothing of OpenTelemetry is imported.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any, Final, Protocol

from applyrate.observability.events import Event
from applyrate.observability.logs import tell

NEVER_TRACED: Final = "/v1/traces"
"""The path whose requests get no span: exports of spans that make spans would never end."""


class RequestSpan(Protocol):
    """The span of one request."""

    def answer(self, route: str, status: int) -> None:
        """Note which route it was, and how it was answered."""
        ...


class Tracing(Protocol):
    """Where spans are begun. May be used from any thread."""

    def request(self, scope: Mapping[str, Any]) -> AbstractContextManager[RequestSpan]:
        """Around a request, by its ASGI scope."""
        ...

    def within(self, name: str) -> AbstractContextManager[object]:
        """Around a part of a request; outside of any nothing is told."""
        ...

    def close(self) -> None:
        """Export what is left, but not for ever."""
        ...


def start_tracing(environ: Mapping[str, str]) -> Tracing | None:
    """The tracing that an environment asks for, None where it asks for none.

    What keeps it from being done is logged, and stops nothing.
    """
    if not _is_wanted(environ):
        return None
    if problem := _problem(environ):
        tell(Event.TRACING_UNAVAILABLE, problem=problem)
        return None
    from applyrate.observability.spans import Spans

    tracing = Spans()
    tell(Event.TRACING_STARTED)
    return tracing


def _is_wanted(environ: Mapping[str, str]) -> bool:
    return (
        any(environ.get(name) for name in _ENDPOINTS)
        and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and environ.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
    )


def _problem(environ: Mapping[str, str]) -> str | None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (protocol := environ.get(name) or _PROTOCOL) != _PROTOCOL:
            return f"{name}: {protocol!r} is not {_PROTOCOL}, the one that is spoken here"
        if name in environ:
            break
    if any(find_spec(f"opentelemetry.{part}") is None for part in ("sdk", "exporter")):
        return "a package is missing; install applyrate[telemetry]"
    return None


_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL: Final = "http/protobuf"
