"""Rejections: what came in and was not taken, counted by reason and day, the newest one by one."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from applyrate.answers import RejectedDay, RejectedInput, RejectionReason, Source
from applyrate.intake.reasons import reason_of
from applyrate.usage import ERASED, Page

MAX_KEPT: Final = 100
"""So many are kept one by one of an organization; the reasons count the others."""

KEPT_DAYS: Final = 30
MAX_REASONS: Final = 50
"""Of one source on one day; what is rejected for yet another counts under OTHER_REASONS."""

OTHER_REASONS: Final = "other reasons"

_LISTED_REASONS: Final = 100
_LONGEST_MESSAGE: Final = 1_000


def describe_rejection(
    source: Source,
    message: str,
    *,
    reason: str | None = None,
    index: int | None = None,
    line: int | None = None,
    reply_id: str | None = None,
    trace_id: str | None = None,
) -> RejectedInput:
    """What is kept of something that is rejected now.

    Of a message's own text nothing is, nor whatever names what was erased.
    """
    if message.endswith(ERASED):
        message, reply_id = f"session_id: {ERASED}", None
    reason = reason or reason_of(message)
    kept = reason if message.startswith(_MESSAGE_TEXT) else message
    return RejectedInput(
        rejected_at=datetime.now(UTC),
        source=source,
        reason=reason,
        message=kept[:_LONGEST_MESSAGE],
        index=index,
        line=line,
        reply_id=reply_id,
        trace_id=trace_id,
    )


_MESSAGE_TEXT: Final = "last_message:"


class RejectedPosition(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the list of what was rejected: newest first."""

    number: Annotated[int, Meta(ge=0, le=2**62)]


Fault: TypeAlias = tuple[date, Source, str]
"""What rejections are counted by: their UTC day, source and reason."""


class FaultCount(Struct):
    """How often a fault was made, and when last."""

    count: int
    last_at: datetime


def add_rejections(
    db: sqlite3.Connection,
    org: str,
    newest: Iterable[RejectedInput],
    counts: Mapping[Fault, FaultCount],
) -> None:
    """Add to an organization's counts, and keep the newest of all it has."""
    for (day, source, reason), counted in counts.items():
        number = (day - _EPOCH.date()).days
        known = {known for (known,) in db.execute(_REASONS, (org, number, source))}
        named = reason if reason in known or len(known) < MAX_REASONS else OTHER_REASONS
        row = (org, number, source, named, counted.count, _micros(counted.last_at))
        db.execute(_COUNT, row)
    db.executemany(_ADD, ((org, *_row(rejected)) for rejected in newest))
    db.execute(_KEEP_NEWEST, {"org": org, "kept": MAX_KEPT})


def forget_rejections(db: sqlite3.Connection, now: datetime) -> None:
    """Forget what was rejected more than KEPT_DAYS ago, of every organization."""
    first = _first_day(now)
    db.execute("DELETE FROM rejected_day WHERE day < ?", ((first - _EPOCH).days,))
    db.execute("DELETE FROM rejected WHERE rejected_at < ?", (_micros(first),))


def erase_rejections(
    db: sqlite3.Connection, org: str, session_id: str, reply_ids: Iterable[str]
) -> None:
    """Drop what was rejected of a conversation: it names the conversation, or one of its replies.

    The ids of traces count as those of replies.
    """
    gone = set(reply_ids)
    # As the messages show it, which may be another text than the id itself.
    shown = (session_id, repr(session_id)[1:-1])
    going = [
        (key,)
        for key, message, *names in db.execute(_NAMES, (org,)).fetchall()
        if not gone.isdisjoint(names) or any(text in message for text in shown)
    ]
    db.executemany("DELETE FROM rejected WHERE id = ?", going)


def expire_rejections(db: sqlite3.Connection, org: str, before: int) -> None:
    """Drop what an organization had rejected before a moment in microseconds; its counts stay."""
    db.execute("DELETE FROM rejected WHERE org = ? AND rejected_at < ?", (org, before))


def list_rejections(
    db: sqlite3.Connection, org: str, *, limit: int, after: RejectedPosition | None
) -> Page[RejectedInput, RejectedPosition]:
    """An organization's newest rejections that are kept, newest first."""
    before = after.number if after else _LAST
    first = _micros(_first_day(datetime.now(UTC)))
    rows = db.execute(_NEWEST, (org, before, first, limit + 1)).fetchall()
    items = [
        RejectedInput(
            rejected_at=_EPOCH + timedelta(microseconds=rejected_at),
            source=Source(source),
            reason=reason,
            message=message,
            index=index,
            line=line,
            reply_id=reply_id,
            trace_id=trace_id,
        )
        for _, rejected_at, source, reason, message, index, line, reply_id, trace_id in rows[:limit]
    ]
    return Page(items, RejectedPosition(rows[limit - 1][0]) if len(rows) > limit else None)


def list_reasons(db: sqlite3.Connection, org: str) -> Sequence[RejectionReason]:
    """Why an organization's input was rejected in the last days, the most frequent first."""
    first = (_first_day(datetime.now(UTC)) - _EPOCH).days
    rows = db.execute(_DAYS, (org, first)).fetchall()
    reasons = []
    for (source, reason), group in groupby(rows, key=lambda row: row[:2]):
        days = list(group)
        reasons.append(
            RejectionReason(
                source=Source(source),
                reason=reason,
                rejected_count=sum(count for *_, count, _ in days),
                last_at=_EPOCH + timedelta(microseconds=max(last_at for *_, last_at in days)),
                days=[
                    RejectedDay(_EPOCH.date() + timedelta(days=day), count)
                    for _, _, day, count, _ in days
                ],
            )
        )
    reasons.sort(key=lambda told: (-told.rejected_count, told.source, told.reason))
    return reasons[:_LISTED_REASONS]


def _row(rejected: RejectedInput) -> tuple[object, ...]:
    return (
        *(_micros(rejected.rejected_at), rejected.source, rejected.reason, rejected.message),
        *(rejected.index, rejected.line, rejected.reply_id, rejected.trace_id),
    )


def _first_day(now: datetime) -> datetime:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=KEPT_DAYS - 1)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 2**62

_REASONS = "SELECT reason FROM rejected_day WHERE org = ? AND day = ? AND source = ?"
_COUNT = """
INSERT INTO rejected_day (org, day, source, reason, rejected_count, last_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET rejected_count = rejected_count + excluded.rejected_count,
    last_at = max(last_at, excluded.last_at)
"""
_ADD = """
INSERT INTO rejected
    (org, rejected_at, source, reason, message, place, line, reply_id, trace_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_KEEP_NEWEST = """
DELETE FROM rejected WHERE org = :org AND id <=
    (SELECT id FROM rejected WHERE org = :org ORDER BY id DESC LIMIT 1 OFFSET :kept)
"""
_NEWEST = """
SELECT id, rejected_at, source, reason, message, place, line, reply_id, trace_id FROM rejected
WHERE org = ? AND id < ? AND rejected_at >= ? ORDER BY id DESC LIMIT ?
"""
_NAMES = "SELECT id, message, reply_id, trace_id FROM rejected WHERE org = ?"
_DAYS = """
SELECT source, reason, day, rejected_count, last_at FROM rejected_day
WHERE org = ? AND day >= ? ORDER BY source, reason, day
"""
