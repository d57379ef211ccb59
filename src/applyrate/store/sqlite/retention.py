"""Retention: how long an organization's replies are kept, and the removal of those that are older.

Replies go by their own age and in the order of their times, at most so many in one transaction, so
that nobody who writes waits long. A conversation goes with its last reply.
"""

import sqlite3
from typing import Final

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.audit import now_micros
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.erasing import delete_conversations, request_scrub
from applyrate.store.sqlite.removing import StoredReply, remove_replies
from applyrate.store.sqlite.rows import DAY, ORDINAL_BITS, ordinal_range
from applyrate.usage import FOREVER, Keeping

SINCE_EVER: Final = -(2**62)
"""Before the first time that there is."""


def oldest_kept(db: sqlite3.Connection, org: str, keeping: Keeping) -> int:
    """The first moment that an organization keeps now, in microseconds: the start of a UTC day."""
    days = retention_days(db, org)
    return cutoff(keeping.days if days is None else days)


def cutoff(days: int) -> int:
    """The first moment that is kept now where replies are kept for so many days.

    It is the start of a UTC day, so that each is kept for as long, and up to a day longer.
    """
    return SINCE_EVER if days == FOREVER else (now_micros() // DAY - days) * DAY


def retention_days(db: sqlite3.Connection, org: str) -> int | None:
    """The days that an organization set for itself; None where it set none."""
    row = db.execute("SELECT days FROM retention WHERE org = ?", (org,)).fetchone()
    return None if row is None else int(row[0])


def set_retention(db: sqlite3.Connection, org: str, days: int | None) -> None:
    """Set the days of an organization; None for those of the settings."""
    if days is None:
        db.execute("DELETE FROM retention WHERE org = ?", (org,))
    else:
        db.execute("REPLACE INTO retention (org, days) VALUES (?, ?)", (org, days))


def has_expired(db: sqlite3.Connection, org: str, before: int) -> bool:
    """Whether an organization has anything that is older than a moment."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return False
    (org_id,) = found
    return bool(db.execute(_OLD, (org_id, before, 1)).fetchone() or _silent(db, org_id, before, 1))


def expire(db: sqlite3.Connection, days: Days, org: str, before: int, limit: int) -> int:
    """Remove up to ``limit`` replies from before a moment, the oldest first; how many were removed.

    They are fewer where more would take too long (see ``remove_replies``), but at least one. Once
    there are none, conversations go that never had a reply, and count in their place.
    """
    (org_id,) = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    replies = [StoredReply(*row) for row in db.execute(_OLD, (org_id, before, limit))]
    if not replies:
        silent = _silent(db, org_id, before, limit)
        if silent:
            delete_conversations(db, org_id, silent)
            request_scrub(db)
        return len(silent)
    request_scrub(db)
    removed = remove_replies(db, days, org_id, replies)
    delete_conversations(db, org_id, removed.bare)
    others = BitMap([one.conversation for one in removed.replies]) - removed.bare
    wanted = msgspec.json.encode(list(others)).decode()
    for query in _FORGET:
        db.execute(query, (before, wanted, org_id << ORDINAL_BITS))
    return len(removed.replies)


def _silent(db: sqlite3.Connection, org: int, before: int, limit: int) -> BitMap:
    """Conversations without a reply that became known before a moment."""
    return BitMap([one for (one,) in db.execute(_SILENT, (*ordinal_range(org), before, limit))])


_OLD = """
SELECT id & 0xFFFFFFFF, conversation & 0xFFFFFFFF, replied_at FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at < ? ORDER BY replied_at LIMIT ?
"""
# Conversations became known in the order of their ids: the first that is new ends the search.
_SILENT = """
SELECT id & 0xFFFFFFFF FROM conversation
WHERE id >= ?1 AND id < ifnull(
        (SELECT id FROM conversation WHERE id BETWEEN ?1 AND ?2 AND known_at >= ?3
         ORDER BY id LIMIT 1), ?2
    )
    AND NOT EXISTS (SELECT 1 FROM reply WHERE conversation = conversation.id) LIMIT ?4
"""
# What the newest reply said goes with it, also where the conversation has newer ones.
_FORGET = tuple(
    f"""
    UPDATE conversation SET {name} = NULL, {name}_at = NULL
    WHERE {name}_at < ?1 AND id IN (SELECT ?3 | value FROM json_each(?2))
    """  # noqa: S608 (names of our own)
    for name in ("reply_ticket_number", "reply_last_message")
)
