"""The document's components: the schemas of what comes in and what goes out.

They are generated from the structs that the service decodes and encodes; names are added here, and
what the fields mean comes from ``field_prose``.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from applyrate.answers import (
    AuditList,
    CandidateAttribute,
    CatalogueReceipt,
    ConversationUsageList,
    GroupOutcomes,
    Health,
    IssuedKey,
    KeyList,
    MeanScore,
    NewKey,
    Part,
    ReadinessReport,
    ReadyParts,
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
from applyrate.api.field_prose import describe_field
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
    AuditEntry,
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
    AuditList: "AuditListDto",
    AuditEntry: "AuditEntryDto",
    UnattributedList: "UnattributedListDto",
    UnattributedTraces: "UnattributedTracesDto",
    CandidateAttribute: "CandidateAttributeDto",
    RejectedList: "RejectedListDto",
    RejectedInput: "RejectedInputDto",
    RejectionReason: "RejectionReasonDto",
    RejectedDay: "RejectedDayDto",
    Health: "HealthDto",
    ReadinessReport: "ReadinessReportDto",
    ReadyParts: "ReadyPartsDto",
    Part: "PartDto",
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
    description = describe_field(component, name)
    return schema | ({"description": description} if description else {})
