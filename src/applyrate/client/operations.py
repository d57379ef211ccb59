"""Every operation of the API, as a value that says what to send and how to read the answer."""

import gzip
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from applyrate.answers import (
    CatalogueReceipt,
    ConversationUsageList,
    Health,
    IssuedKey,
    KeyList,
    NewKey,
    RecordingReceipt,
    RejectedInput,
    RejectedList,
    ResourceOutcomes,
    ResourceUsageList,
    Timeline,
    UnattributedList,
    UnusedList,
    UsageChange,
    UsageComparison,
)
from applyrate.buckets import Interval
from applyrate.client.calls import Call, Lines, Rows, Stream
from applyrate.client.events import UsageEvent
from applyrate.errors import InvalidInput
from applyrate.keys import ApiKey
from applyrate.usage import (
    CatalogueEntry,
    Conversation,
    ConversationFacts,
    ConversationUsage,
    Reply,
    ResourceType,
    ResourceUsage,
    UnusedResource,
    UsageKind,
    UsageRow,
    UsageSummary,
)

T = TypeVar("T")

Bound = datetime | date | str | None
"""An end of a window. A datetime without offset is UTC, a date is that whole UTC day, a text is
ISO 8601; None is no bound."""

LONGEST_PAGE: Final = 250


def summary(
    resource_type: ResourceType | str, resource_id: str, *, from_: Bound = None, to: Bound = None
) -> Call[UsageSummary]:
    """The counts of one resource in the window ``from_`` ≤ t < ``to``; zeros for an unknown one."""
    return Call(
        method="GET",
        path=f"{_resource(resource_type, resource_id)}/usage-summary",
        query=_query(from_=from_, to=to),
        read=_json(UsageSummary),
    )


def resources(
    resource_type: ResourceType | str,
    *,
    from_: Bound = None,
    to: Bound = None,
    compare: str | None = None,
    page_size: int = LONGEST_PAGE,
) -> Rows[ResourceUsage]:
    """Every resource of a type with a fact in the window, the most recently applied first.

    With ``compare="previous"`` each has its counts in the window before as ``previous``.
    """
    return Rows(
        lambda cursor: resource_page(
            resource_type, from_=from_, to=to, compare=compare, limit=page_size, cursor=cursor
        )
    )


def resource_page(
    resource_type: ResourceType | str,
    *,
    from_: Bound = None,
    to: Bound = None,
    compare: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[ResourceUsageList]:
    """One page of them: at most ``limit`` rows (1 to 250, else 50), from the ``next`` of another"""
    return Call(
        method="GET",
        path=f"/resource-usage/{_segment('resource_type', resource_type)}",
        query=_query(from_=from_, to=to, compare=compare, limit=limit, cursor=cursor),
        read=_json(ResourceUsageList),
    )


def conversations(
    resource_type: ResourceType | str,
    resource_id: str,
    *,
    usage: UsageKind | str = UsageKind.APPLIED,
    from_: Bound = None,
    to: Bound = None,
    page_size: int = LONGEST_PAGE,
) -> Rows[ConversationUsage]:
    """Every conversation that used the resource in the window, newest use first."""
    return Rows(
        lambda cursor: conversation_page(
            resource_type,
            resource_id,
            usage=usage,
            from_=from_,
            to=to,
            limit=page_size,
            cursor=cursor,
        )
    )


def conversation_page(
    resource_type: ResourceType | str,
    resource_id: str,
    *,
    usage: UsageKind | str = UsageKind.APPLIED,
    from_: Bound = None,
    to: Bound = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[ConversationUsageList]:
    """One page of them: at most ``limit`` rows (1 to 250, else 50), from the ``next`` of another"""
    return Call(
        method="GET",
        path=f"{_resource(resource_type, resource_id)}/conversations",
        query=_query(usage=usage, from_=from_, to=to, limit=limit, cursor=cursor),
        read=_json(ConversationUsageList),
    )


def compare(
    resource_type: ResourceType | str, resource_id: str, *, from_: Bound, to: Bound
) -> Call[UsageComparison]:
    """The counts of one resource, and those of the window of the same length before."""
    return Call(
        method="GET",
        path=f"{_resource(resource_type, resource_id)}/comparison",
        query=_query(from_=from_, to=to),
        read=_json(UsageComparison),
    )


def timeline(
    resource_type: ResourceType | str,
    resource_id: str,
    *,
    interval: Interval | str = Interval.DAY,
    timezone: str = "UTC",
    from_: Bound = None,
    to: Bound = None,
) -> Call[Timeline]:
    """The counts of one resource in each hour, day, week or month of the window, empty ones too."""
    return Call(
        method="GET",
        path=f"{_resource(resource_type, resource_id)}/timeline",
        query=_query(interval=interval, timezone=timezone, from_=from_, to=to),
        read=_json(Timeline),
    )


def outcomes(
    resource_type: ResourceType | str, resource_id: str, *, from_: Bound = None, to: Bound = None
) -> Call[ResourceOutcomes]:
    """What became of the conversations that applied a resource, and of those that only had it."""
    return Call(
        method="GET",
        path=f"{_resource(resource_type, resource_id)}/outcomes",
        query=_query(from_=from_, to=to),
        read=_json(ResourceOutcomes),
    )


def unused(
    resource_type: ResourceType | str,
    *,
    from_: Bound = None,
    to: Bound = None,
    page_size: int = LONGEST_PAGE,
) -> Rows[UnusedResource]:
    """Every resource of a type that nothing was applied of, the most available first."""
    return Rows(
        lambda cursor: unused_page(
            resource_type, from_=from_, to=to, limit=page_size, cursor=cursor
        )
    )


def unused_page(
    resource_type: ResourceType | str,
    *,
    from_: Bound = None,
    to: Bound = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[UnusedList]:
    """One page of them: at most ``limit`` rows (1 to 250, else 50), from the ``next`` of another"""
    return Call(
        method="GET",
        path="/insights/unused",
        query=_query(type=resource_type, from_=from_, to=to, limit=limit, cursor=cursor),
        read=_json(UnusedList),
    )


def conversation_usage(session_id: str) -> Call[Conversation]:
    """What each reply of a conversation had and applied. Raises NotFound for an unknown one."""
    return Call(
        method="GET",
        path=f"/conversations/{_segment('session_id', session_id)}/usage",
        read=_json(Conversation),
    )


def usages(*, from_: Bound = None, to: Bound = None) -> Lines[UsageRow]:
    """Every usage in the window, by the time of its reply, read as it is asked for.

    Raises Unreachable where the answer breaks off.
    """
    return Lines(
        Call(
            method="GET",
            path="/export/usages",
            query=_query(format="ndjson", from_=from_, to=to),
            read=_json(UsageRow),
        )
    )


def set_resources(entries: CatalogueEntry | Iterable[CatalogueEntry]) -> Call[CatalogueReceipt]:
    """Set what is known of resources: of each the named fields; None takes one back.

    At most 10,000 in one call. Raises InvalidInput where there were some and none was usable.
    """
    given = [entries] if isinstance(entries, CatalogueEntry) else list(entries)
    return Call(
        method="PUT",
        path="/resources",
        body=msgspec.json.encode(given),
        headers=_JSON,
        read=_json(CatalogueReceipt),
    )


def changes(*, after: int | None = None) -> Stream[UsageEvent]:
    """Every resource whose counts change, from now on or since the event of that version.

    It does not end: it connects again where it broke off. Raises what any other method does, such
    as Unauthenticated once the key is revoked.
    """
    return _stream("/stream", after)


def resource_changes(
    resource_type: ResourceType | str, resource_id: str, *, after: int | None = None
) -> Stream[UsageEvent]:
    """One resource as its counts change, and without ``after`` first as they are."""
    return _stream(f"{_resource(resource_type, resource_id)}/stream", after)


def record(replies: Reply | Iterable[Reply]) -> Call[RecordingReceipt]:
    """Record replies; what the receipt calls accepted is on disk.

    They travel in one request. Raises InvalidInput where there were some and none was usable.
    """
    given = [replies] if isinstance(replies, Reply) else replies
    return record_lines(map(msgspec.json.encode, given))


def record_lines(lines: Iterable[bytes]) -> Call[RecordingReceipt]:
    """The same for replies that are JSON already, each without a line break."""
    return Call(
        method="POST",
        path="/replies",
        body=gzip.compress(b"\n".join(lines), _QUICK, mtime=0),
        headers={"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
        read=_json(RecordingReceipt),
    )


def set_conversation(
    session_id: str,
    *,
    ticket_number: int | UnsetType | None = UNSET,
    last_message: str | UnsetType | None = UNSET,
    handed_off_at: datetime | UnsetType | None = UNSET,
    status: str | UnsetType | None = UNSET,
    csat: float | UnsetType | None = UNSET,
) -> Call[None]:
    """Set what is known of a conversation: the named facts; None takes one back."""
    facts = ConversationFacts(ticket_number, last_message, handed_off_at, status, csat)
    return Call(
        method="PUT",
        path=f"/conversations/{_segment('session_id', session_id)}",
        body=msgspec.json.encode(facts),
        headers=_JSON,
        read=_nothing,
    )


def unattributed() -> Call[UnattributedList]:
    """The traces of agents that came in and gave no reply, by service and by what is missing."""
    return Call(method="GET", path="/intake/unattributed", read=_json(UnattributedList))


def rejected(*, page_size: int = LONGEST_PAGE) -> Rows[RejectedInput]:
    """What came in lately and was not taken, the newest first: at most 100 are kept."""
    return Rows(lambda cursor: rejected_page(limit=page_size, cursor=cursor))


def rejected_page(*, limit: int | None = None, cursor: str | None = None) -> Call[RejectedList]:
    """One page of it, with all reasons: at most ``limit`` rows, from the ``next`` of another."""
    return Call(
        method="GET",
        path="/intake/rejected",
        query=_query(limit=limit, cursor=cursor),
        read=_json(RejectedList),
    )


def create_key(
    name: str, *, scopes: Sequence[str] | None = None, expires_at: datetime | None = None
) -> Call[IssuedKey]:
    """Make a key of the caller's organization, full access without ``scopes``; shown this once."""
    wanted = NewKey(name, None if scopes is None else list(scopes), expires_at)
    return Call(
        method="POST",
        path="/keys",
        body=msgspec.json.encode(wanted),
        headers=_JSON,
        read=_json(IssuedKey),
        repeatable=False,
    )


def keys() -> Call[Sequence[ApiKey]]:
    """The organization's keys, oldest first, revoked ones too."""
    read = _json(KeyList)
    return Call(method="GET", path="/keys", read=lambda body: read(body).items)


def revoke_key(key_id: str) -> Call[ApiKey]:
    """Revoke a key for good. Raises NotFound where the organization has none of that id."""
    path = f"/keys/{_segment('key_id', key_id)}"
    return Call(method="DELETE", path=path, read=_json(ApiKey))


def health() -> Call[Health]:
    """That the service answers; needs no key."""
    return Call(method="GET", path="/health/live", read=_json(Health))


def document() -> Call[dict[str, Any]]:
    """The OpenAPI document of the service; needs no key."""
    return Call(method="GET", path="/openapi.json", read=_json(dict[str, Any]))


def _stream(path: str, after: int | None) -> Stream[UsageEvent]:
    decode = _json(UsageChange)

    def read(version: int, data: bytes) -> UsageEvent:
        change = decode(data)
        return UsageEvent(version, change.resource_type, change.resource_id, change.summary)

    return Stream(Call(method="GET", path=path, read=_nothing), read, after)


_JSON: Final = {"Content-Type": "application/json"}
_QUICK: Final = 3


def _json(answer: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(answer).decode


def _nothing(_: bytes) -> None:
    return None


def _resource(resource_type: str, resource_id: str) -> str:
    resource_type = _segment("resource_type", resource_type)
    return f"/resource-usage/{resource_type}/{_segment('resource_id', resource_id)}"


def _segment(name: str, text: str) -> str:
    if not text:
        raise InvalidInput(f"{name}: '' is shorter than 1 character")
    try:
        encoded = quote(text, safe="")
    except UnicodeEncodeError:
        raise InvalidInput(f"{name}: {text!r} contains half a surrogate pair") from None
    # A segment of dots alone would mean this folder or the one above.
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


def _query(*, from_: Bound = None, to: Bound = None, **others: str | int | None) -> dict[str, str]:
    values = {"from": from_, "to": to, **others}
    return {
        name: value.isoformat() if isinstance(value, date) else str(value)
        for name, value in values.items()
        if value is not None
    }
