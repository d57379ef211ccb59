"""The conversations of a day: those with a reply on it, as bitmaps."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from pyroaring import BitMap

from applyrate.store.sqlite.columns import to_numbers
from applyrate.store.sqlite.packing import pack, unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import BLOCK_BITS, DAY


def write_conversation_days(
    db: sqlite3.Connection, org: int, replies: Iterable[tuple[int, int]]
) -> None:
    """Note the replies' conversations (ordinals), each with the time of the reply."""
    gained: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for conversation, replied_at in replies:
        gained[replied_at // DAY, conversation >> BLOCK_BITS].add(conversation)
    for (day, block), conversations in gained.items():
        stored = db.execute(_READ, (org, day, block)).fetchone()
        before = unpack(stored[0]) if stored else BitMap()
        after = before | BitMap(conversations)
        if len(after) > len(before):
            db.execute(_WRITE, (org, day, block, pack(after)))


def forget_conversation_days(
    db: sqlite3.Connection, org: int, gone: Iterable[tuple[int, int]]
) -> None:
    """Note days on which conversations (ordinals) have no reply any more."""
    lost: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for day, conversation in gone:
        lost[day, conversation >> BLOCK_BITS].add(conversation)
    for (day, block), conversations in lost.items():
        (packed,) = db.execute(_READ, (org, day, block)).fetchone()
        if left := unpack(packed) - BitMap(conversations):
            db.execute(_WRITE, (org, day, block, pack(left)))
        else:
            db.execute(_DELETE, (org, day, block))


def conversations_inside(db: sqlite3.Connection, org: int, span: Span) -> BitMap:
    """The conversations (ordinals) with a reply in a window."""
    first, last = -(-span.start // DAY), span.end // DAY - 1
    bitmaps = [unpack(packed) for (packed,) in db.execute(_READ_DAYS, (org, first, last))]
    if first > last + 1:  # the window lies within one day
        bitmaps.append(_replied_inside(db, org, span))
    else:
        bitmaps.append(_replied_inside(db, org, Span(span.start, first * DAY)))
        bitmaps.append(_replied_inside(db, org, Span((last + 1) * DAY, span.end)))
    return BitMap.union(*bitmaps)


def returning_conversations(db: sqlite3.Connection, org: int, first: int, last: int) -> BitMap:
    """The conversations (ordinals) with replies on more than one of some days.

    The days before the first and after the last of them are looked at, too: so what is asked of a
    day is mostly the same in the next window.
    """
    seen, returning = BitMap(), BitMap()
    for (packed,) in db.execute(_READ_DAYS, (org, first - _AROUND, last + _AROUND)):
        of_day = unpack(packed)
        returning |= seen & of_day
        seen |= of_day
    return returning


_AROUND = 30
"""Days. Few conversations go on for longer."""


def _replied_inside(db: sqlite3.Connection, org: int, span: Span) -> BitMap:
    if span.start >= span.end:
        return BitMap()
    (text,) = db.execute(_READ_REPLIES, (org, *span)).fetchone()
    return BitMap(to_numbers(text))


_READ = "SELECT conversations FROM conversation_day WHERE org = ? AND day = ? AND block = ?"
_WRITE = """
REPLACE INTO conversation_day (org, day, block, conversations) VALUES (?, ?, ?, ?)
"""
_DELETE = "DELETE FROM conversation_day WHERE org = ? AND day = ? AND block = ?"
_READ_DAYS = """
SELECT conversations FROM conversation_day WHERE org = ? AND day BETWEEN ? AND ?
"""
_READ_REPLIES = """
SELECT group_concat(conversation & 0xFFFFFFFF) FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
