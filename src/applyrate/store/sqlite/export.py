"""Exporting: every usage as a row, in the order of the replies' times, read a part at a time.

Each part is read in a transaction of its own, so that an export that takes minutes holds up nobody:
while a read transaction is open, the write-ahead log cannot be folded into the file.
"""

from collections.abc import Iterator
from typing import NamedTuple

from applyrate.store.sqlite.counting import to_span
from applyrate.store.sqlite.database import Database
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.reply_usages import Used, read_reply_usages
from applyrate.store.sqlite.rows import from_micros, ordinal_range
from applyrate.usage import UsageKind, UsageRow, Window

_PART = 1_000
"""The replies read at once. Their usages are what an export holds in memory."""


def export_usages(database: Database, org: str, window: Window) -> Iterator[UsageRow]:
    """Every usage in the window, of the replies that there are when the first is asked for."""
    with database.reading() as db:
        found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
        if found is None:
            return
        (last,) = db.execute(_LAST_REPLY, ordinal_range(found[0])).fetchone()
    org_id, (start, end) = found[0], to_span(window)
    place = (start, "")
    while True:
        with database.reading() as db:
            rows = db.execute(_REPLIES, (org_id, *place, end, last, _PART))
            replies = [_Reply(*row) for row in rows]
            usages = read_reply_usages(db, org_id, {one.ordinal: one.replied_at for one in replies})
        for one in replies:
            yield from _rows(one, usages[one.ordinal])
        if len(replies) < _PART:
            return
        place = (replies[-1].replied_at, replies[-1].reply_id)


class _Reply(NamedTuple):
    ordinal: int
    reply_id: str
    session_id: str
    replied_at: int


def _rows(reply: _Reply, used: Used) -> Iterator[UsageRow]:
    which = (from_micros(reply.replied_at), reply.reply_id, reply.session_id)
    for resource in used.available:
        yield UsageRow(*which, *resource, UsageKind.AVAILABLE, 1)
    for resource, count in used.applied:
        yield UsageRow(*which, *resource, UsageKind.APPLIED, count)


_LAST_REPLY = "SELECT max(id) FROM reply WHERE id BETWEEN ? AND ?"
# Replies with the time of the last one read are sorted by id again; the others come from the index.
_REPLIES = """
SELECT reply.id & 0xFFFFFFFF, reply_id, session_id, replied_at
FROM reply INDEXED BY reply_time CROSS JOIN conversation ON conversation.id = reply.conversation
WHERE reply.org = ?1 AND replied_at >= ?2 AND (replied_at, reply_id) > (?2, ?3)
    AND replied_at < ?4 AND reply.id <= ?5
ORDER BY replied_at, reply_id LIMIT ?6
"""
