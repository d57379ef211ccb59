"""What is asked of all resources of a type, computed from the oracle's set."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from applyrate.usage import (
    CataloguedResource,
    PublishedVersion,
    RankedResource,
    RankedResources,
    ResourceSort,
    ResourceType,
    ResourceUsage,
    TypeTotals,
    UnusedReason,
    UnusedResource,
    UnusedTable,
    UnusedTotals,
    UsageBucket,
    UsageKind,
    Window,
    utc,
)
from tests.contract.oracle import Oracle


def rows(
    oracle: Oracle, org: str, resource_type: ResourceType, window: Window
) -> list[ResourceUsage]:
    """Every resource of the type, by id."""
    return [
        oracle.row(org, resource_type, resource_id, window)
        for resource_id in oracle.seen_or_catalogued(org, resource_type)
    ]


def catalogue(
    oracle: Oracle, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> dict[str, CataloguedResource]:
    known = set(oracle.seen_or_catalogued(org, resource_type))
    return {
        resource_id: _catalogued(oracle, (org, resource_type, resource_id))
        for resource_id in resource_ids
        if resource_id in known
    }


def _catalogued(oracle: Oracle, resource: tuple[str, ResourceType, str]) -> CataloguedResource:
    said = oracle.catalogue.get(resource, {})
    published_at = said.get("published_at")
    versions = oracle.versions.get(resource, {})
    return CataloguedResource(
        name=oracle.name(resource),
        version=said.get("version"),
        url=said.get("url"),
        published_at=published_at and utc(published_at),
        keep=said.get("keep", False),
        versions=[
            PublishedVersion(version, at)
            for at, version in sorted((utc(at), version) for version, at in versions.items())
        ],
    )


def ranked(
    oracle: Oracle,
    org: str,
    resource_type: ResourceType,
    window: Window,
    sort: ResourceSort,
    *,
    descending: bool,
    search: str,
) -> RankedResources:
    """The whole table."""
    matching = [
        row
        for row in rows(oracle, org, resource_type, window)
        if search.casefold() in row.resource_id.casefold()
        or search.casefold() in (row.name or "").casefold()
    ]
    valued = [row for row in matching if _VALUE[sort](row) is not None]
    others = [row for row in matching if _VALUE[sort](row) is None]
    valued.sort(key=_VALUE[sort], reverse=descending)
    if sort is ResourceSort.LAST_USED:
        others.sort(key=lambda row: not row.available_replies)
    return RankedResources([_ranked(row) for row in (*valued, *others)], len(matching))


def _ranked(row: ResourceUsage) -> RankedResource:
    return RankedResource(
        resource_id=row.resource_id,
        name=row.name or None,
        applied_sessions=row.applied_sessions,
        applied_replies=row.applied_replies,
        available_replies=row.available_replies,
        handoff_count=row.handoff_count,
        last_used_at=row.last_used_at,
    )


_VALUE: dict[ResourceSort, Callable[[ResourceUsage], Any]] = {
    ResourceSort.LAST_USED: lambda row: row.last_used_at,
    ResourceSort.NAME: lambda row: (row.name or row.resource_id).casefold(),
    ResourceSort.APPLIED: lambda row: row.applied_replies,
    ResourceSort.AVAILABLE: lambda row: row.available_replies,
    ResourceSort.APPLY_RATE: lambda row: (
        row.applied_replies / row.available_replies if row.available_replies else None
    ),
    ResourceSort.HANDOFF_SHARE: lambda row: (
        row.handoff_count / row.applied_sessions if row.applied_sessions else None
    ),
}


def unused(
    oracle: Oracle, org: str, resource_type: ResourceType, window: Window
) -> list[UnusedResource]:
    found = [
        _unused(oracle, org, resource_type, row, window)
        for row in rows(oracle, org, resource_type, window)
        if not row.applied_replies
    ]
    return sorted(found, key=lambda one: (-one.available_replies, one.resource_id))


def _unused(
    oracle: Oracle, org: str, resource_type: ResourceType, row: ResourceUsage, window: Window
) -> UnusedResource:
    said = oracle.catalogue.get((org, resource_type, row.resource_id), {})
    until = oracle.summary(org, resource_type, row.resource_id, Window(None, window.to_at))
    if said.get("keep"):
        reason = UnusedReason.KEPT
    elif until.last_used_at:
        reason = UnusedReason.STOPPED
    elif until.available_replies:
        reason = UnusedReason.NEVER_APPLIED
    else:
        reason = UnusedReason.NEVER_AVAILABLE
    return UnusedResource(
        resource_id=row.resource_id,
        name=row.name or None,
        url=said.get("url"),
        reason=reason,
        available_replies=row.available_replies,
        available_sessions=row.available_sessions,
        last_used_at=until.last_used_at,
    )


def unused_table(
    oracle: Oracle,
    org: str,
    resource_type: ResourceType,
    window: Window,
    reason: UnusedReason | None,
) -> UnusedTable:
    """The whole table."""
    every = unused(oracle, org, resource_type, window)
    return UnusedTable(
        items=[row for row in every if reason in (None, row.reason)],
        totals={
            why: UnusedTotals(len(those), sum(row.available_replies for row in those))
            for why in UnusedReason
            if (those := [row for row in every if row.reason is why])
        },
        most_available=max((row.available_replies for row in every), default=0),
        available_replies=sum(
            row.available_replies for row in rows(oracle, org, resource_type, window)
        ),
    )


def usage_counts(
    oracle: Oracle,
    org: str,
    resource_type: ResourceType,
    resource_ids: Sequence[str],
    bounds: Sequence[datetime],
    kind: UsageKind,
) -> dict[str, list[int]]:
    def count(resource_id: str, window: Window) -> int:
        summary = oracle.summary(org, resource_type, resource_id, window)
        if kind is UsageKind.APPLIED:
            return summary.applied_replies
        return summary.available_replies

    return {
        resource_id: [count(resource_id, Window(*span)) for span in pairwise(bounds)]
        for resource_id in resource_ids
    }


def type_totals(
    oracle: Oracle, org: str, resource_type: ResourceType, window: Window
) -> TypeTotals:
    everything = rows(oracle, org, resource_type, window)
    sessions = {
        session_id
        for (of, _), (session_id, at) in oracle.replies.items()
        if of == org
        and (window.from_at is None or window.from_at <= at)
        and (window.to_at is None or at < window.to_at)
    }
    return TypeTotals(
        resource_count=len(everything),
        applied_count=sum(bool(row.applied_replies) for row in everything),
        session_count=len(sessions),
        handoff_count=sum(oracle.known[org, session].is_handed_off() for session in sessions),
    )


def type_timeline(
    oracle: Oracle, org: str, resource_type: ResourceType, bounds: Sequence[datetime]
) -> list[UsageBucket]:
    available, applied = (
        [
            oracle.replies[org, usage.reply_id][1]
            for used, usages in oracle.usages.items()
            if used[:2] == (org, resource_type) and used[3] is kind
            for usage in usages
        ]
        for kind in UsageKind
    )
    return [
        UsageBucket(*(sum(start <= at < end for at in times) for times in (available, applied)))
        for start, end in pairwise(bounds)
    ]
