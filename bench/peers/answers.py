"""From an engine's rows to the vocabulary, with times in microseconds since 1970 in UTC."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from applyrate.usage import (
    ConversationPosition,
    ConversationUsage,
    Page,
    ResourcePosition,
    ResourceUsage,
    UsageSummary,
    Window,
)

DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = 2**62
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """A time as a number."""
    return (at - EPOCH) // _MICROSECOND


def span(window: Window) -> tuple[int, int]:
    """A window as two numbers, far apart where it has no bound."""
    return (
        0 if window.from_at is None else micros(window.from_at),
        FAR if window.to_at is None else micros(window.to_at),
    )


def at(value: int | datetime | None) -> datetime | None:
    """A number as a time."""
    return EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value


def counts(row: Sequence[Any]) -> dict[str, Any]:
    """The fields of a summary.

    From available usages and conversations, applied usages and conversations, first and last use.
    """
    available_replies, available_sessions, applied_replies, applied_sessions, first, last = row
    used = bool(applied_replies)
    return {
        "session_count": applied_sessions or 0,
        "applied_sessions": applied_sessions or 0,
        "applied_replies": applied_replies or 0,
        "available_sessions": available_sessions or 0,
        "available_replies": available_replies or 0,
        "first_used_at": at(first) if used else None,
        "last_used_at": at(last) if used else None,
    }


def summary(row: Sequence[Any]) -> UsageSummary:
    """A summary from the same."""
    return UsageSummary(**counts(row))


def resource_page(
    rows: Iterable[Sequence[Any]], limit: int
) -> Page[ResourceUsage, ResourcePosition]:
    """A page of the list from at most one row more: id, handoffs, then what ``counts`` takes."""
    items = [
        ResourceUsage(resource_id=row[0], handoff_count=row[1] or 0, **counts(row[2:]))
        for row in rows
    ]
    if len(items) <= limit:
        return Page(items, None)
    del items[limit:]
    last = items[-1]
    return Page(
        items,
        ResourcePosition(last.last_used_at, without_fact=False, resource_id=last.resource_id),
    )


def conversation_page(
    rows: Iterable[Sequence[Any]], limit: int
) -> Page[ConversationUsage, ConversationPosition]:
    """A page of conversations from at most one row more.

    Of each the id, the ticket, the message, the number of replies, the first and the last use.
    """
    items = [
        ConversationUsage(
            session_id=row[0],
            ticket_number=row[1],
            last_message=row[2],
            reply_count=row[3],
            first_used_at=_known(row[4]),
            last_used_at=_known(row[5]),
        )
        for row in rows
    ]
    if len(items) <= limit:
        return Page(items, None)
    del items[limit:]
    return Page(items, ConversationPosition(items[-1].last_used_at, items[-1].session_id))


def daily(by_day: Mapping[int, Sequence[Any]], bounds: Sequence[datetime]) -> list[UsageSummary]:
    """A timeline from the rows of the days that have any, by the number of the day."""
    nothing = (0, 0, 0, 0, None, None)
    first = micros(bounds[0]) // DAY
    return [summary(by_day.get(first + day, nothing)) for day in range(len(bounds) - 1)]


def _known(value: int | datetime) -> datetime:
    time = at(value)
    assert time is not None
    return time
