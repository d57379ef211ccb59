"""Arrivals: what came in and was taken in the last hours, and what of it waits in the inbox."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from msgspec import Struct

from applyrate.answers import Arrival, InboxDepth, Source

SHOWN_HOURS: Final = 24
MAX_SERVICES: Final = 100
"""Of one hour; what comes from yet another is told as coming from OTHER_SERVICES."""

OTHER_SERVICES: Final = "other services"

_LISTED: Final = 100

Sender: TypeAlias = tuple[int, Source, str]
"""What arrivals are counted by: their hour since 1970, their source, and the service of spans."""


class SenderCount(Struct):
    """How much a sender brought, and when last."""

    count: int
    last_at: int


def hour_of(at: int) -> int:
    """The hour since 1970 of a time in microseconds."""
    return at // _HOUR


def add_arrivals(db: sqlite3.Connection, org: str, counts: Mapping[Sender, SenderCount]) -> None:
    """Add to what an organization sent."""
    for (hour, source, service), counted in counts.items():
        known = {known for (known,) in db.execute(_SERVICES, (org, hour, source))}
        named = service if service in known or len(known) < MAX_SERVICES else OTHER_SERVICES
        db.execute(_COUNT, (org, hour, source, named, counted.count, counted.last_at))


def forget_arrivals(db: sqlite3.Connection, now: int) -> None:
    """Forget what arrived before the hours that are shown, of every organization."""
    db.execute("DELETE FROM arrival WHERE hour <= ?", (hour_of(now) - SHOWN_HOURS,))


def measure_depth(db: sqlite3.Connection, org: str, now: int) -> InboxDepth:
    """What of an organization waits, and what of it arrived lately."""
    span_count, trace_count, since = db.execute(_WAITING, (org,)).fetchone()
    return InboxDepth(
        waiting_span_count=span_count,
        waiting_trace_count=trace_count,
        waiting_since=None if since is None else _EPOCH + timedelta(microseconds=since),
        arrivals=_list_arrivals(db, org, now),
    )


def _list_arrivals(db: sqlite3.Connection, org: str, now: int) -> Sequence[Arrival]:
    rows = db.execute(_ARRIVALS, (org, hour_of(now) - SHOWN_HOURS, _LISTED))
    return [
        Arrival(
            source=Source(source),
            service=service,
            arrived_count=count,
            last_at=_EPOCH + timedelta(microseconds=last_at),
        )
        for source, service, count, last_at in rows
    ]


_HOUR: Final = 3_600_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SERVICES = "SELECT service FROM arrival WHERE org = ? AND hour = ? AND source = ?"
_COUNT = """
INSERT INTO arrival (org, hour, source, service, arrived_count, last_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET arrived_count = arrived_count + excluded.arrived_count,
    last_at = max(last_at, excluded.last_at)
"""
# The index leads past those that are derived and kept for late spans, which may be very many.
_WAITING = """
SELECT coalesce(sum(span_count), 0), count(*), min(changed_at) FROM trace INDEXED BY trace_state
WHERE state IN ('ready', 'waiting') AND org = ?
"""
_ARRIVALS = """
SELECT source, service, sum(arrived_count) AS arrived_count, max(last_at) FROM arrival
WHERE org = ? AND hour > ? GROUP BY source, service
ORDER BY arrived_count DESC, source, service LIMIT ?
"""
