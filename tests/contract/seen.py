"""What a person looks at, computed from the oracle's plain set."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from applyrate.usage import (
    Conversation,
    ConversationUsage,
    OutcomeGroup,
    Outcomes,
    ReplyUsage,
    ResourceType,
    UsageKind,
    UsageRow,
    UsageSummary,
    Window,
)
from tests.contract.oracle import Oracle


def timeline(
    oracle: Oracle,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    bounds: Sequence[datetime],
) -> list[UsageSummary]:
    resource = (org, resource_type, resource_id)
    return [oracle.summary(*resource, Window(*span)) for span in pairwise(bounds)]


def outcomes(
    oracle: Oracle, org: str, resource_type: ResourceType, resource_id: str, window: Window
) -> Outcomes:
    available, applied = (
        {
            row.session_id
            for row in oracle.conversations(org, resource_type, resource_id, window, kind)
        }
        for kind in UsageKind
    )
    return Outcomes(_group(oracle, org, applied), _group(oracle, org, available - applied))


def unapplied(
    oracle: Oracle,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    window: Window,
    kind: UsageKind,
) -> list[ConversationUsage]:
    resource = (org, resource_type, resource_id, window)
    applied = {row.session_id for row in oracle.conversations(*resource, UsageKind.APPLIED)}
    rows = oracle.conversations(*resource, kind)
    return [row for row in rows if row.session_id not in applied]


def used_window(
    oracle: Oracle, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> tuple[datetime, datetime] | None:
    times = [
        oracle.replies[org, usage.reply_id][1]
        for resource_id in resource_ids
        for kind in UsageKind
        for usage in oracle.usages.get((org, resource_type, resource_id, kind), ())
    ]
    return (min(times), max(times)) if times else None


def _group(oracle: Oracle, org: str, session_ids: set[str]) -> OutcomeGroup:
    known = [oracle.known[org, session_id] for session_id in session_ids]
    statuses = [one.facts["status"] for one in known if one.facts.get("status") is not None]
    scores = [one.facts["csat"] for one in known if one.facts.get("csat") is not None]
    return OutcomeGroup(
        session_count=len(known),
        handoff_count=sum(one.is_handed_off() for one in known),
        status_count=len(statuses),
        resolved_count=sum(status.lower() == "resolved" for status in statuses),
        csat_count=len(scores),
        csat_mean=sum(scores) / len(scores) if scores else None,
    )


def usages(oracle: Oracle, org: str, window: Window) -> list[UsageRow]:
    counts = Counter(
        (usage.reply_id, used)
        for used, of_resource in oracle.usages.items()
        for usage in of_resource
        if used[0] == org
    )
    rows = []
    for (reply_id, (_, resource_type, resource_id, kind)), count in counts.items():
        session_id, at = oracle.replies[org, reply_id]
        if (window.from_at or at) <= at and (window.to_at is None or at < window.to_at):
            rows.append(UsageRow(at, reply_id, session_id, resource_type, resource_id, kind, count))
    kinds = list(UsageKind)
    return sorted(
        rows,
        key=lambda row: (
            *(row.replied_at, row.reply_id, kinds.index(row.usage)),
            *(row.resource_type, row.resource_id),
        ),
    )


def conversation(oracle: Oracle, org: str, session_id: str) -> Conversation | None:
    known = oracle.known.get((org, session_id))
    if known is None:
        return None
    replies = {
        reply_id: ReplyUsage(reply_id, at, _no_ids(), _no_ids())
        for (of, reply_id), (session, at) in oracle.replies.items()
        if (of, session) == (org, session_id)
    }
    for row in usages(oracle, org, Window()):
        if row.session_id == session_id:
            ids = getattr(replies[row.reply_id], row.usage)[row.resource_type]
            ids += [row.resource_id] * row.count
    return Conversation(
        session_id=session_id,
        ticket_number=known.known("ticket_number", known.tickets),
        last_message=known.known("last_message", known.messages),
        handed_off_at=known.facts.get("handed_off_at", min(known.handoffs, default=None)),
        status=known.facts.get("status"),
        csat=known.facts.get("csat"),
        replies=sorted(replies.values(), key=lambda reply: (reply.replied_at, reply.reply_id)),
    )


def _no_ids() -> dict[ResourceType, list[str]]:
    return {resource_type: [] for resource_type in ResourceType}


def change_counts(oracle: Oracle, org: str) -> Counter[tuple[ResourceType, str]]:
    """How often the usages of each resource became more or less; of all that ever had any."""
    return Counter(
        {
            (resource_type, resource_id): count
            for (of, resource_type, resource_id), count in oracle.changes.items()
            if of == org and count
        }
    )
