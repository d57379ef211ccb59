"""Spans on their way to a service, as an exporter of OTLP/JSON sends them."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from tests.observed import AT, span_id

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
CONVERSATION = {"gen_ai.conversation.id": "conv"}
SETTLE_SECONDS = 20


def trace_id(number: int) -> str:
    """The id of a trace, by a number from 1."""
    return f"{number:032x}"


def sent(
    name: str,
    parent: str | None = None,
    attributes: Mapping[str, str] | None = None,
    *,
    trace: int = 1,
    at: tuple[int, int] = (0, 10),
) -> dict[str, Any]:
    """A span by its name, which is its id, too; ``at`` has its start and end in seconds."""
    start, end = (str((AT + seconds * 1_000_000) * 1_000) for seconds in at)
    return {
        "traceId": trace_id(trace),
        "spanId": span_id(name),
        **({} if parent is None else {"parentSpanId": span_id(parent)}),
        "name": name,
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "attributes": _encode(attributes or {}),
    }


def executed(name: str, parent: str | None, action: str, **more: Any) -> dict[str, Any]:
    """The execution of an action."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": action}
    return sent(name, parent, attributes, **more)


def retrieved(name: str, parent: str, *documents: str) -> dict[str, Any]:
    """A retrieval of documents."""
    found = ",".join(f'{{"id":"{document}"}}' for document in documents)
    attributes = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.documents": f"[{found}]",
    }
    return sent(name, parent, attributes)


def export(
    client: httpx.Client, *spans: Mapping[str, Any], service: str = "agent", **emitter: str
) -> httpx.Response:
    """Send spans of one service in one request."""
    resource = {"attributes": _encode({"service.name": service, **emitter})}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    return client.post("/v1/traces", json=request)


def settle(client: httpx.Client) -> dict[str, Any]:
    """Wait until every trace was looked at; what is then told of those without a reply."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        told: dict[str, Any] = client.get("/intake/unattributed").raise_for_status().json()
        if not told["waiting_count"]:
            return told
        assert time.monotonic() < deadline, "some traces are not looked at"
        time.sleep(0.02)


def _encode(attributes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
