"""The document's components: the schemas of what comes in and what goes out.

They are generated from the structs that the service decodes and encodes; names and prose are added
here. One word means one thing, so a field is described once, wherever it stands.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from applyrate.answers import (
    CandidateAttribute,
    CatalogueReceipt,
    ConversationUsageList,
    GroupOutcomes,
    Health,
    IssuedKey,
    KeyList,
    MeanScore,
    NewKey,
    RecordingReceipt,
    RejectedDay,
    RejectedEntry,
    RejectedInput,
    RejectedList,
    RejectionReason,
    ResourceOutcomes,
    ResourceUsageList,
    Share,
    Timeline,
    TimelineBucket,
    UnattributedList,
    UnattributedTraces,
    UnusedList,
    UsageChange,
    UsageComparison,
    Verdicts,
)
from applyrate.api.otlp_answers import (
    ExportFailure,
    ExportReceipt,
    ExportRequest,
    PartialSuccess,
)
from applyrate.errors import ErrorBody
from applyrate.intake.replies import Rejection
from applyrate.keys import SCOPES, ApiKey
from applyrate.usage import (
    Applied,
    Available,
    CatalogueEntry,
    Conversation,
    ConversationFacts,
    ConversationUsage,
    Invocation,
    Reply,
    ReplyUsage,
    ResourceUsage,
    UnusedResource,
    UsageSummary,
    Window,
)

Json: TypeAlias = dict[str, Any]


def describe_components(answers: Iterable[type[Struct]]) -> Json:
    """The schemas of all that comes in and goes out; ``answers`` go out."""
    _, schemas_and_enums = msgspec.json.schema_components(
        _COMPONENTS, ref_template="#/components/schemas/{name}"
    )
    generated = _without_enums(schemas_and_enums)
    names = {kind.__name__: name for kind, name in _COMPONENTS.items()}
    sent = _reachable(generated, {kind.__name__ for kind in answers})
    schemas = {
        names[name]: _tidy(names[name], schema, is_answer=name in sent)
        for name, schema in generated.items()
    }
    text = msgspec.json.encode(schemas).decode()
    for name, component in names.items():
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{component}"')
    renamed: Json = msgspec.json.decode(text)
    renamed["ErrorDto"] = _ERROR
    return {name: renamed[name] for name in _COMPONENTS.values()}


def reference(kind: type[Struct]) -> Json:
    """What stands in the document where the schema of a struct is meant."""
    return {"$ref": f"#/components/schemas/{_COMPONENTS[kind]}"}


_COMPONENTS: Final[Mapping[type[Struct], str]] = {
    UsageSummary: "PublicResourceUsageSummaryDto",
    ResourceUsage: "PublicResourceUsageDto",
    ResourceUsageList: "PublicResourceUsageListDto",
    ConversationUsage: "PublicResourceConversationDto",
    ConversationUsageList: "PublicResourceConversationListDto",
    UsageComparison: "ResourceUsageComparisonDto",
    Window: "WindowDto",
    Timeline: "ResourceTimelineDto",
    TimelineBucket: "ResourceTimelineBucketDto",
    ResourceOutcomes: "ResourceOutcomesDto",
    GroupOutcomes: "GroupOutcomesDto",
    Share: "ShareDto",
    MeanScore: "MeanScoreDto",
    Verdicts: "VerdictsDto",
    UnusedList: "UnusedListDto",
    UnusedResource: "UnusedResourceDto",
    UsageChange: "UsageChangeDto",
    Conversation: "ConversationDto",
    ReplyUsage: "ReplyUsageDto",
    CatalogueEntry: "CatalogueEntryDto",
    CatalogueReceipt: "CatalogueReceiptDto",
    RejectedEntry: "RejectedEntryDto",
    Reply: "ReplyDto",
    Available: "AvailableDto",
    Applied: "AppliedDto",
    Invocation: "InvocationDto",
    RecordingReceipt: "RecordingReceiptDto",
    Rejection: "RejectionDto",
    ConversationFacts: "ConversationFactsDto",
    NewKey: "NewKeyDto",
    ApiKey: "KeyDto",
    IssuedKey: "IssuedKeyDto",
    KeyList: "KeyListDto",
    UnattributedList: "UnattributedListDto",
    UnattributedTraces: "UnattributedTracesDto",
    CandidateAttribute: "CandidateAttributeDto",
    RejectedList: "RejectedListDto",
    RejectedInput: "RejectedInputDto",
    RejectionReason: "RejectionReasonDto",
    RejectedDay: "RejectedDayDto",
    Health: "HealthDto",
    ErrorBody: "ErrorDto",
    ExportRequest: "ExportTraceServiceRequest",
    ExportReceipt: "ExportTraceServiceResponse",
    PartialSuccess: "ExportTracePartialSuccess",
    ExportFailure: "Status",
}

_OPENTELEMETRYS: Final = {
    _COMPONENTS[kind] for kind in (ExportRequest, ExportReceipt, PartialSuccess, ExportFailure)
}
"""In these a reader passes over what it does not know."""

# A field is described once; one that means something else in a component has a line of its own.
_FIELDS: Final[Mapping[str, str]] = {
    "session_count": "Distinct conversations that used (applied) the resource.",
    "applied_sessions": "Distinct conversations in which it was applied.",
    "applied_replies": "Applications; each invocation of an action is one.",
    "available_sessions": "Distinct conversations in which it was available.",
    "available_replies": "Replies that had it available.",
    "handoff_count": "Of the conversations that applied it, those handed off, at any time.",
    "first_used_at": "The first use, ISO 8601 in UTC.",
    "last_used_at": "The last use, ISO 8601 in UTC.",
    "resource_id": "Which resource.",
    "items": "The rows.",
    "next": "The cursor of the next page; null on the last one.",
    "applied_signal": "Whether any sender is able to report that one of the type was applied.",
    "reply_id": "Which reply: the sender's own id of it, sent again when the reply is.",
    "session_id": "Which conversation.",
    "reply_count": "How many of the conversation's replies used the resource.",
    "replied_at": "When the reply was sent: ISO 8601; without an offset it is UTC.",
    "ticket_number": "The conversation's ticket, where it has one.",
    "last_message": "The last message of the conversation.",
    "handed_off_at": "When the conversation was handed off to a person; null if it was not.",
    "status": "Its status.",
    "csat": "How satisfied the customer was, from 1 to 5.",
    "available": "What was in the context of the reply.",
    "applied": "What the reply cited or invoked; it need not be repeated in `available`.",
    "call_id": "What tells this call from others of the same action in the reply.",
    "accepted": "Replies that brought something new.",
    "duplicates": "Replies that were known to the last usage.",
    "rejected": "Replies that were not taken, and why.",
    "index": "Which reply of the request, counted from 0.",
    "message": "Why, in a sentence that names the input and the rule.",
    "name": "By what a person recognises it.",
    "previous": "The same counts in the window before.",
    "previous_window": "The window of the same length that ends where this one starts.",
    "from_at": "When it starts, itself included.",
    "to_at": "When it ends, itself excluded.",
    "interval": "What a bucket lasts.",
    "timezone": "The time zone whose clocks and calendar say where buckets begin.",
    "handoff": "Conversations that were handed off.",
    "resolution": "Conversations with the status `resolved`, of those that have one.",
    "count": "How many.",
    "sample_count": "Of how many.",
    "share": "The first in parts of the second; null of nothing.",
    "mean": "On average; null of nothing.",
    "low": "The lower end of the 95 % interval.",
    "high": "The upper end of the 95 % interval.",
    "not_applied": "The conversations that had it available and did not apply it.",
    "verdict": "How the first group differs from the second.",
    "reason": "Why it is unused: the first of kept, stopped, never_applied, never_available that"
    " holds.",
    "url": "Where a person can read it.",
    "version": "The version of it that is in use.",
    "published_at": "Since when it is in use: ISO 8601; without an offset it is UTC.",
    "keep": "A safety net that may stay unused.",
    "type": "What kind of resource.",
    "id": "Which resource.",
    "replies": "Its replies, by time.",
    "CatalogueReceiptDto.accepted": "Entries that were taken.",
    "CatalogueReceiptDto.rejected": "Entries that were not taken, and why.",
    "RejectedEntryDto.index": "Which entry of the request, counted from 0.",
    "ReplyUsageDto.available": "What was in its context: ids by type.",
    "ReplyUsageDto.applied": "What it cited or invoked: ids by type, an action for each time.",
    "ResourceOutcomesDto.applied": "The conversations that applied it.",
    "UnusedResourceDto.last_used_at": "When it was last applied before the window's end.",
    "VerdictsDto.handoff": "Whether more of the first group were handed off.",
    "VerdictsDto.resolution": "Whether more of the first group were resolved.",
    "VerdictsDto.csat": "Whether the first group was more satisfied.",
    "GroupOutcomesDto.session_count": "Distinct conversations.",
    "GroupOutcomesDto.csat": "Satisfaction, in conversations with a score.",
    "resource_type": "What kind of resource.",
    "summary": "Its counts of all time.",
    "scopes": "What the key opens; null for everything.",
    "expires_at": "From when on it opens nothing; null for never.",
    "key": "The key. It is shown this once.",
    "key_id": "Which key.",
    "org": "The organization it belongs to.",
    "hint": "Its last four characters.",
    "created_at": "When it was made.",
    "revoked_at": "When it was revoked; null while it was not.",
    "service": "The `service.name` of what emitted the traces.",
    "trace_count": "In how many traces.",
    "first_at": "When the earliest of them started.",
    "last_at": "When the latest of them ended.",
    "missing": "What they lack: `conversation`, `reply`.",
    "problem": "What else is wrong, in a sentence; null for nothing.",
    "dialects": "The conventions that found something in them.",
    "attributes": "Those that might hold the conversation, the most promising first.",
    "examples": "Some of its values, the newest first.",
    "newest_trace_id": "The trace that came last.",
    "mapped_attributes": "Attributes that the organization mapped to its conversations.",
    "waiting_count": "Traces that are still to be looked at.",
    "excluded_count": "Traces that the settings exclude.",
    "rejected_at": "When it came.",
    "source": "By which way: `POST /replies`, `POST /v1/traces` or an import.",
    "line": "Which line of the imported file, counted from 1; null where it is none.",
    "trace_id": "Which trace; null where it could not be read.",
    "reasons": "Why things were rejected in the last 30 days, the most frequent first.",
    "rejected_count": "How often.",
    "days": "The same by UTC day, those without any left out.",
    "day": "Which UTC day.",
    "RejectedInputDto.reason": "The rule that it broke, without the value.",
    "RejectedInputDto.index": "Which reply of its request, counted from 0; null for all of it.",
    "RejectedInputDto.reply_id": "Which reply; null where it could not be read.",
    "RejectionReasonDto.reason": "The rule that was broken, without the value.",
    "RejectionReasonDto.last_at": "When last.",
    "resourceSpans": "Spans by what emitted them, as OpenTelemetry's own page on OTLP says.",
    "partialSuccess": "There only if spans were refused.",
    "rejectedSpans": "How many spans were refused for good.",
    "errorMessage": "Why, for the first of them.",
    "code": "The canonical code, such as 3 for an invalid argument.",
}

_ERROR: Final = {
    "type": "object",
    "description": "What every error says.",
    "properties": {
        "statusCode": {"type": "integer", "description": "The HTTP status."},
        "message": {"type": "string", "description": "What is wrong, and the way out."},
        "error": {"type": "string", "description": "The status's own name."},
    },
}


def _without_enums(schemas: Mapping[str, Json]) -> Mapping[str, Json]:
    """The same, with the values of each enumeration where it is meant."""
    enums = {
        f'{{"$ref":"#/components/schemas/{name}"}}': {"type": "string", "enum": schema["enum"]}
        for name, schema in schemas.items()
        if "enum" in schema
    }
    text = msgspec.json.encode(
        {name: schema for name, schema in schemas.items() if "enum" not in schema}
    ).decode()
    for reference_to, values in enums.items():
        text = text.replace(reference_to, msgspec.json.encode(values).decode())
    inlined: Mapping[str, Json] = msgspec.json.decode(text)
    return inlined


def _reachable(schemas: Mapping[str, Json], names: Iterable[str]) -> set[str]:
    """These components and all that they refer to."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            text = msgspec.json.encode(schemas[name]).decode()
            waiting += re.findall(r'"#/components/schemas/(\w+)"', text)
    return reached


def _tidy(component: str, schema: Json, *, is_answer: bool) -> Json:
    """A generated schema with our prose; an answer has every field it can, and no other."""
    properties = {
        name: _field(component, name, inner) for name, inner in schema["properties"].items()
    }
    tidy: Json = {
        "type": "object",
        "description": _prose(schema["description"]),
        "properties": properties,
        "required": _always_there(schema) if is_answer else schema["required"],
        "additionalProperties": False,
    }
    if component in _OPENTELEMETRYS:
        del tidy["additionalProperties"]
    if component == _COMPONENTS[UsageSummary]:
        tidy = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"#/components/schemas/{component}",
            **tidy,
        }
    if is_answer:
        for inner in properties.values():
            inner.pop("default", None)
    return tidy


def _always_there(schema: Json) -> list[str]:
    """The fields that an answer never lacks: all but those without a value of their own (UNSET)."""
    required = schema["required"]
    return [
        name
        for name, inner in schema["properties"].items()
        if name in required or "default" in inner
    ]


def _prose(docstring: str) -> str:
    """A struct's docstring for readers of JSON."""
    return inspect.cleandoc(docstring).replace("``None``", "``null``").replace("``", "`")


def _field(component: str, name: str, schema: Json) -> Json:
    if component.startswith("Public"):
        # The published components say number where integer would do, and give times no format.
        schema = msgspec.json.decode(msgspec.json.encode(schema).replace(b'"integer"', b'"number"'))
    elif name.endswith("_at"):
        for kind in schema.get("anyOf", [schema]):
            if kind["type"] == "string":
                kind["format"] = "date-time"
    if name == "scopes":
        for kind in schema["anyOf"]:
            if kind["type"] == "array":
                kind["items"] = {"type": "string", "enum": list(SCOPES)}
    if "$ref" in schema:
        schema.pop("default", None)
    description = _FIELDS.get(f"{component}.{name}") or _FIELDS.get(name)
    return schema | ({"description": description} if description else {})
