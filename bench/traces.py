"""Measuring how fast spans are taken over HTTP: durable, from sixteen exporters at once.

The spans are those of a support agent in OpenTelemetry's GenAI conventions, with the prompts, tool
definitions and results that they really carry, sent as the exporters of the field send them:
protobuf, gzip, 512 spans a request.
"""

import gzip
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from applyrate.store import open_store
from applyrate.usage import ResourceType, Window
from bench.serving import running, serving
from bench.timing import WrongAnswer

EXPORTERS = 16
SPANS_A_REQUEST = 512
_ORG = "acme"
_ACTION = "lookup_order"
_DERIVE_SECONDS = 300


class Traced(NamedTuple):
    """What a run of requests took: each acknowledgement's seconds, and all of them together."""

    spans: int
    seconds: float
    acknowledged: Sequence[float]

    @property
    def rate(self) -> float:
        """Spans a second, acknowledged."""
        return self.spans / self.seconds

    def percentile(self, share: float) -> float:
        """The seconds within which that share of the requests was acknowledged."""
        return sorted(self.acknowledged)[int(share * (len(self.acknowledged) - 1))]


class Tracing(NamedTuple):
    """Ours and an empty handler's, on the same bodies; and when every reply was counted."""

    ours: Traced
    empty: Traced
    counted_seconds: float
    bytes_a_span: float
    packed_bytes_a_span: float


def measure_traces(folder: Path, requests: int) -> Tracing:
    """Send so many requests to either, in turns of a quarter; then wait for the counts.

    Raises WrongAnswer where a reply is missing from the counts, or counted twice.
    """
    drawn = _Drawn(requests)
    quarters = [drawn.bodies[start::4] for start in range(4)]
    taken: dict[str, list[Traced]] = {"ours": [], "empty": []}
    with serving(folder, _ORG) as (ours, key), _empty() as empty:
        began = time.perf_counter()
        waited = 0.0
        for bodies in quarters:
            taken["ours"].append(_send(ours, key, bodies))
            start = time.perf_counter()
            taken["empty"].append(_send(empty, key, bodies))
            waited += time.perf_counter() - start
        _wait_for_counts(folder, drawn.traces)
        counted_seconds = time.perf_counter() - began - waited
    return Tracing(
        _together(taken["ours"]),
        _together(taken["empty"]),
        counted_seconds,
        drawn.bytes / (requests * SPANS_A_REQUEST),
        sum(map(len, drawn.bodies)) / (requests * SPANS_A_REQUEST),
    )


def _together(parts: Sequence[Traced]) -> Traced:
    return Traced(
        sum(part.spans for part in parts),
        sum(part.seconds for part in parts),
        [seconds for part in parts for seconds in part.acknowledged],
    )


def _send(url: str, key: str, bodies: Sequence[bytes]) -> Traced:
    """Send the bodies from all exporters at once, each over a connection of its own."""
    host = urlsplit(url).netloc
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "gzip",
    }

    def export(share: Sequence[bytes]) -> list[float]:
        durations = []
        with closing(HTTPConnection(host, timeout=60)) as connection:
            for body in share:
                start = time.perf_counter()
                connection.request("POST", "/v1/traces", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    raise WrongAnswer(f"{answer.status}: {text!r}")
                durations.append(time.perf_counter() - start)
        return durations

    began = time.perf_counter()
    with ThreadPoolExecutor(EXPORTERS) as exporters:
        shares = [bodies[place::EXPORTERS] for place in range(EXPORTERS)]
        acknowledged = [seconds for part in exporters.map(export, shares) for seconds in part]
    return Traced(len(bodies) * SPANS_A_REQUEST, time.perf_counter() - began, acknowledged)


def _wait_for_counts(folder: Path, traces: int) -> None:
    """Wait until every trace is a counted reply."""
    until = time.monotonic() + _DERIVE_SECONDS
    with closing(open_store(folder)) as store:
        while True:
            summary = store.summary(_ORG, ResourceType.ACTION, _ACTION, Window())
            if summary.applied_replies == traces or time.monotonic() > until:
                break
            time.sleep(0.05)
    if summary.applied_replies != traces:
        raise WrongAnswer(f"{summary.applied_replies} replies are counted of {traces}")


@contextmanager
def _empty() -> Iterator[str]:
    with running([sys.executable, "-m", "bench.peers.empty"], {}) as url:
        yield url


class _Drawn:
    """The bodies of so many requests: whole traces one after another, cut where a request ends."""

    def __init__(self, requests: int) -> None:
        self._random = Random(8)
        self.traces = 0
        self.bytes = 0
        self.bodies: list[bytes] = []
        spans: list[Span] = []
        for _ in range(requests):
            while len(spans) < SPANS_A_REQUEST:
                spans += self._trace()
            # What is left over comes with the next request, as it does in the field.
            self.bodies.append(self._body(spans[:SPANS_A_REQUEST]))
            del spans[:SPANS_A_REQUEST]
        if spans:
            self.bodies[-1] = self._body(self._last + spans)

    def _body(self, spans: list[Span]) -> bytes:
        self._last = spans
        request = ExportTraceServiceRequest()
        emitter = request.resource_spans.add()
        _set(emitter.resource, {"service.name": "support-agent"})
        scope = emitter.scope_spans.add()
        scope.scope.name = "support-agent"
        scope.spans.extend(spans)
        body = request.SerializeToString()
        self.bytes += len(body)
        return gzip.compress(body, 6)

    def _trace(self) -> list[Span]:
        """A reply: two model calls with a tool each and a retrieval, a third one that answers."""
        trace_id, root = self._random.randbytes(16), self._random.randbytes(8)
        start = 1_767_225_600_000_000_000 + self.traces * 1_000_000_000
        conversation = f"conv-{self.traces // 4}"
        self.traces += 1
        spans = []

        def add(parent: bytes, place: int, **attributes: str) -> bytes:
            span = Span(
                trace_id=trace_id,
                span_id=root if not parent else self._random.randbytes(8),
                parent_span_id=parent,
                name=attributes["operation_name"],
                start_time_unix_nano=start + place * 1_000_000,
                end_time_unix_nano=start + (100 if not parent else place + 1) * 1_000_000,
            )
            named = {f"gen_ai.{name.replace('__', '.')}": v for name, v in attributes.items()}
            named["gen_ai.operation.name"] = named.pop("gen_ai.operation_name")
            _set(span, named | {"gen_ai.conversation.id": conversation})
            spans.append(span)
            return span.span_id

        question = _message("user", {"type": "text", "content": _QUESTION})
        history = [question]
        for call, name in enumerate(("search_knowledge", _ACTION)):
            asked = {"type": "tool_call", "id": f"call_{call}", "name": name, "arguments": {}}
            add(
                root,
                10 * call,
                operation_name="chat",
                request__model="gpt",
                system_instructions=_INSTRUCTIONS,
                tool__definitions=_TOOLS,
                input__messages=json.dumps(history),
                output__messages=json.dumps([_message("assistant", asked)]),
            )
            history.append(_message("assistant", asked))
            tool = add(
                root,
                10 * call + 1,
                operation_name="execute_tool",
                tool__name=name,
                tool__call__id=f"call_{call}",
                tool__call__arguments="{}",
                tool__call__result=_RESULT,
            )
            if call == 0:
                documents = [{"id": f"kb_{self._random.randrange(500)}"} for _ in range(4)]
                add(
                    tool,
                    2,
                    operation_name="retrieval",
                    retrieval__documents=json.dumps(documents),
                )
        answer = _message("assistant", {"type": "text", "content": f"Yes [{documents[0]['id']}]."})
        add(
            root,
            30,
            operation_name="chat",
            request__model="gpt",
            system_instructions=_INSTRUCTIONS,
            tool__definitions=_TOOLS,
            input__messages=json.dumps(history),
            output__messages=json.dumps([answer]),
        )
        add(b"", 0, operation_name="invoke_agent", agent__name="support-agent")
        return spans


def _message(role: str, part: object) -> dict[str, object]:
    return {"role": role, "parts": [part]}


def _set(holder: object, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        attribute = holder.attributes.add()  # type: ignore[attr-defined]  # a span or an emitter
        attribute.key = name
        attribute.value.string_value = value


_QUESTION = "Hello, I would like to know whether I can still return my order of last month. " * 3
_INSTRUCTIONS = json.dumps(
    [
        {
            "type": "text",
            "content": "\n".join(
                f"## Rule {number}\nBe exact about what rule {number} says, and quote its source."
                for number in range(12)
            ),
        }
    ]
)
_TOOLS = json.dumps(
    [
        {
            "type": "function",
            "name": name,
            "description": f"Use it to {name.replace('_', ' ')} for the person who asks.",
            "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
        }
        for name in ("search_knowledge", _ACTION, "escalate_to_human", "cancel_order", "refund")
    ]
)
_RESULT = json.dumps(
    {"status": "delivered", "text": "It was delivered on the third of March. " * 8}
)
