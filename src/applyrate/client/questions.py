"""The API's questions, as values that say what to send and how to read the answer."""

from typing import Final

from applyrate.answers import (
    AuditList,
    ConversationUsageList,
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
from applyrate.client.wire import Bound, nothing, query, reading, resource_path, segment
from applyrate.usage import (
    AuditEntry,
    Conversation,
    ConversationUsage,
    ResourceType,
    ResourceUsage,
    UnusedResource,
    UsageKind,
    UsageRow,
    UsageSummary,
)

LONGEST_PAGE: Final = 250


def summary(
    resource_type: ResourceType | str, resource_id: str, *, from_: Bound = None, to: Bound = None
) -> Call[UsageSummary]:
    """The counts of one resource in the window ``from_`` ≤ t < ``to``; zeros for an unknown one."""
    return Call(
        method="GET",
        path=f"{resource_path(resource_type, resource_id)}/usage-summary",
        query=query(from_=from_, to=to),
        read=reading(UsageSummary),
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
        path=f"/resource-usage/{segment('resource_type', resource_type)}",
        query=query(from_=from_, to=to, compare=compare, limit=limit, cursor=cursor),
        read=reading(ResourceUsageList),
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
        path=f"{resource_path(resource_type, resource_id)}/conversations",
        query=query(usage=usage, from_=from_, to=to, limit=limit, cursor=cursor),
        read=reading(ConversationUsageList),
    )


def compare(
    resource_type: ResourceType | str, resource_id: str, *, from_: Bound, to: Bound
) -> Call[UsageComparison]:
    """The counts of one resource, and those of the window of the same length before."""
    return Call(
        method="GET",
        path=f"{resource_path(resource_type, resource_id)}/comparison",
        query=query(from_=from_, to=to),
        read=reading(UsageComparison),
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
        path=f"{resource_path(resource_type, resource_id)}/timeline",
        query=query(interval=interval, timezone=timezone, from_=from_, to=to),
        read=reading(Timeline),
    )


def outcomes(
    resource_type: ResourceType | str, resource_id: str, *, from_: Bound = None, to: Bound = None
) -> Call[ResourceOutcomes]:
    """What became of the conversations that applied a resource, and of those that only had it."""
    return Call(
        method="GET",
        path=f"{resource_path(resource_type, resource_id)}/outcomes",
        query=query(from_=from_, to=to),
        read=reading(ResourceOutcomes),
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
        query=query(type=resource_type, from_=from_, to=to, limit=limit, cursor=cursor),
        read=reading(UnusedList),
    )


def conversation_usage(session_id: str) -> Call[Conversation]:
    """What each reply of a conversation had and applied. Raises NotFound for an unknown one."""
    return Call(
        method="GET",
        path=f"/conversations/{segment('session_id', session_id)}/usage",
        read=reading(Conversation),
    )


def usages(*, from_: Bound = None, to: Bound = None) -> Lines[UsageRow]:
    """Every usage in the window, by the time of its reply, read as it is asked for.

    Raises Unreachable where the answer breaks off.
    """
    return Lines(
        Call(
            method="GET",
            path="/export/usages",
            query=query(format="ndjson", from_=from_, to=to),
            read=reading(UsageRow),
        )
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
    return _stream(f"{resource_path(resource_type, resource_id)}/stream", after)


def unattributed() -> Call[UnattributedList]:
    """The traces of agents that came in and gave no reply, by service and by what is missing."""
    return Call(method="GET", path="/intake/unattributed", read=reading(UnattributedList))


def rejected(*, page_size: int = LONGEST_PAGE) -> Rows[RejectedInput]:
    """What came in lately and was not taken, the newest first: at most 100 are kept."""
    return Rows(lambda cursor: rejected_page(limit=page_size, cursor=cursor))


def rejected_page(*, limit: int | None = None, cursor: str | None = None) -> Call[RejectedList]:
    """One page of it, with all reasons: at most ``limit`` rows, from the ``next`` of another."""
    return Call(
        method="GET",
        path="/intake/rejected",
        query=query(limit=limit, cursor=cursor),
        read=reading(RejectedList),
    )


def audit(*, page_size: int = LONGEST_PAGE) -> Rows[AuditEntry]:
    """Who did what in the organization, newest first."""
    return Rows(lambda cursor: audit_page(limit=page_size, cursor=cursor))


def audit_page(*, limit: int | None = None, cursor: str | None = None) -> Call[AuditList]:
    """One page of that: at most ``limit`` rows (1 to 250, else 50), from the ``next`` of another"""
    return Call(
        method="GET",
        path="/audit",
        query=query(limit=limit, cursor=cursor),
        read=reading(AuditList),
    )


def _stream(path: str, after: int | None) -> Stream[UsageEvent]:
    decode = reading(UsageChange)

    def read(version: int, data: bytes) -> UsageEvent:
        change = decode(data)
        return UsageEvent(version, change.resource_type, change.resource_id, change.summary)

    return Stream(Call(method="GET", path=path, read=nothing), read, after)
