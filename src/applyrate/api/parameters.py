"""The parameters that several routes share, as the document describes them."""

from typing import Final

from applyrate.api.operations import Parameter
from applyrate.buckets import MAX_BUCKETS, Interval
from applyrate.usage import ResourceType, UsageKind

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 250

FROM: Final = Parameter(
    name="from",
    place="query",
    schema={},
    description=(
        "The start of the window, inclusive: an ISO 8601 date-time (UTC where it has no offset),"
        " or a date, which means the start of that UTC day."
    ),
    example="2026-03-01",
)
TO: Final = Parameter(
    name="to",
    place="query",
    schema={},
    description=(
        "The end of the window, exclusive: an ISO 8601 date-time (UTC where it has no offset), or a"
        " date, which takes the whole of that UTC day in."
    ),
    example="2026-03-31",
)
LIMIT: Final = Parameter(
    name="limit",
    place="query",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    description="How many rows a page holds at most.",
)
CURSOR: Final = Parameter(
    name="cursor",
    place="query",
    schema={"type": "string"},
    description="Where to go on: the `next` of an earlier answer to the same question.",
)
USAGE: Final = Parameter(
    name="usage",
    place="query",
    schema={
        "type": "string",
        "enum": [kind.value for kind in UsageKind],
        "default": UsageKind.APPLIED.value,
    },
    description="Which conversations: those that applied the resource, or had it available.",
)
COMPARE: Final = Parameter(
    name="compare",
    place="query",
    schema={"type": "string", "enum": ["previous"]},
    description=(
        "`previous` puts the counts of the window of the same length that ends where this one"
        " starts beside each row. It needs both `from` and `to`."
    ),
)
FORMAT: Final = Parameter(
    name="format",
    place="query",
    schema={"type": "string", "enum": ["json", "csv"], "default": "json"},
    description=(
        "`csv` answers the same rows as a table, with the next page in the header `Link`."
    ),
)
INTERVAL: Final = Parameter(
    name="interval",
    place="query",
    schema={
        "type": "string",
        "enum": [interval.value for interval in Interval],
        "default": Interval.DAY.value,
    },
    description=(
        "What a bucket lasts; a week starts on Monday. A window has at most"
        f" {MAX_BUCKETS:,} of them."
    ),
)
TIMEZONE: Final = Parameter(
    name="timezone",
    place="query",
    schema={"type": "string", "default": "UTC"},
    description=(
        "The IANA time zone, such as `Europe/Berlin`, whose clocks and calendar say where buckets"
        " begin. A day in which its clocks are changed has 23 or 25 hours."
    ),
)
TYPE: Final = Parameter(
    name="type",
    place="query",
    schema={"type": "string", "enum": [kind.value for kind in ResourceType]},
    description="What kind of resource.",
    example="instruction",
    required=True,
)
EXPORT_FORMAT: Final = Parameter(
    name="format",
    place="query",
    schema={"type": "string", "enum": ["ndjson", "csv", "parquet"], "default": "ndjson"},
    description="How the rows are written; without it, as `Accept` asks for.",
)
RESOURCE_TYPE: Final = Parameter(
    name="resource_type",
    place="path",
    schema={"type": "string", "enum": [kind.value for kind in ResourceType]},
    description="What kind of resource.",
    example="instruction",
)
RESOURCE_ID: Final = Parameter(
    name="resource_id",
    place="path",
    schema={"type": "string"},
    description="Which resource: any 1 to 512 characters, percent-encoded.",
    example="ins_refund",
)
SESSION_ID: Final = Parameter(
    name="session_id",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 512},
    description="Which conversation: any 1 to 512 characters, percent-encoded.",
    example="conv_7",
)
KEY_ID: Final = Parameter(
    name="key_id",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 512},
    description="Which key: the `key_id` of its row in the list.",
    example="key_9f2c4e1ab03d5c77",
)
