"""A trace as text: the tree of its spans, with the attributes that tell of usages."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WIDTH = 96

KINDS = (
    "openinference.span.kind",
    "gen_ai.operation.name",
    "traceloop.span.kind",
    "ai.operationId",
    "langfuse.observation.type",
)
TELLING = re.compile(
    r"""
    applyrate\..+
    | gen_ai\.(conversation\.id|output\.messages|system_instructions)
    | gen_ai\.tool\.(definitions|name|call\.id)
    | session\.id | tool\.name
    | llm\.tools\.\d+\.tool\.json_schema
    | llm\.output_messages\.\d+\.message\.(content|tool_calls\.\d+\.tool_call\.(id|function\.name))
    | retrieval\.documents\.\d+\.document\.id
    | traceloop\.association\.properties\.(session|thread)_id
    | ai\.settings\.context\..+
    """,
    re.VERBOSE,
)
SYSTEM_MESSAGE = "llm.input_messages.0.message"
GENERATED = ("langfuse.observation.input", "langfuse.observation.output")
RESULTS = (
    "gen_ai.tool.call.result",
    "output.value",
    "traceloop.entity.output",
    "langfuse.observation.output",
)
DOCUMENTS = re.compile(r'^\{"documents":|^\[\{"id":')
"""How results begin that hold documents; elsewhere it is what any span returned."""


def draw_traces(exports: Sequence[ExportTraceServiceRequest]) -> str:
    """The tree of each trace. An attribute that says the same again is left out."""
    spans = [
        span
        for export in exports
        for resource in export.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    known = {span.span_id for span in spans}
    children = defaultdict[bytes, list[Span]](list)
    roots: list[Span] = []
    for span in spans:  # in the order in which they ended: start times may be equal
        (children[span.parent_span_id] if span.parent_span_id in known else roots).append(span)
    roots.sort(key=lambda root: root.start_time_unix_nano)
    shown: set[tuple[str, str]] = set()
    trees = ["\n".join(_draw(root, children, shown, "", "")) for root in roots]
    return "\n\n".join(trees) + "\n"


def _draw(
    span: Span,
    children: dict[bytes, list[Span]],
    shown: set[tuple[str, str]],
    head: str,
    below: str,
) -> Iterator[str]:
    attributes = {each.key: _text(each.value) for each in span.attributes}
    kind = next((f"  {name}={attributes[name]}" for name in KINDS if name in attributes), "")
    yield _cut(head + span.name + kind)
    inner = children[span.span_id]
    margin = f"{below}{'│' if inner else ' '}   "
    for name in filter(lambda name: _tells(name, attributes), attributes):
        if (fact := (name, attributes[name])) not in shown:
            shown.add(fact)
            yield from _fold(f"{name} = {attributes[name]}", margin)
    for child in inner:
        last = child is inner[-1]
        branch, deeper = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _draw(child, children, shown, below + branch, below + deeper)


def _tells(name: str, attributes: dict[str, str]) -> bool:
    if name in GENERATED and attributes.get("langfuse.observation.type") == "generation":
        return True
    if name in RESULTS:
        return DOCUMENTS.match(attributes[name]) is not None
    if name == f"{SYSTEM_MESSAGE}.content":
        return attributes.get(f"{SYSTEM_MESSAGE}.role") == "system"
    return TELLING.fullmatch(name) is not None


def _text(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value.replace("\n", "\\n")
        case "array_value":
            return json.dumps([_text(each) for each in value.array_value.values])
        case None:
            return ""
        case kind:
            return str(getattr(value, kind))


def _fold(fact: str, margin: str) -> Iterator[str]:
    """A long fact takes two lines, and no more."""
    room = WIDTH - len(margin)
    place = len(fact)
    if place > room:
        place = max(fact.rfind(" ", 0, room), fact.rfind(",", 0, room)) + 1
    yield margin + fact[:place].rstrip()
    if rest := fact[place:]:
        yield _cut(f"{margin}  {rest}")


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
