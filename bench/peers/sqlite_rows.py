"""SQLite with a row for each usage: what one would write without bitmaps.

A usage is a row of small integers in a table without rowids, whose key is at once its identity and
the way to every answer, as PostgreSQL's covering index is. One connection writes and asks.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from applyrate.usage import (
    ConversationPosition,
    ConversationUsage,
    Page,
    Reply,
    ResourcePosition,
    ResourceType,
    ResourceUsage,
    UsageKind,
    UsageSummary,
    Window,
)
from bench.generator import Workload
from bench.peers.answers import (
    DAY,
    conversation_page,
    daily,
    micros,
    resource_page,
    span,
    summary,
)
from bench.peers.encoding import KINDS, Numbers, columns_of, resources_of, usages_of

_FILE = "usages.db"
_UNKNOWN = -1
_COLUMNS = ("resource", "kind", "replied_at", "reply", "call", "conversation")
_PART = 1_000_000


class SQLiteRows:
    """The peer on one file, durable as the store is: a write-ahead log, synced at each commit."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        new = not self._path.exists()
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -1048576"):
            self._db.execute(f"PRAGMA {pragma}")
        if new:
            self._db.executescript(_TABLES)
        self._orgs: dict[str, int] = dict(self._db.execute("SELECT name, id FROM org").fetchall())
        self._numbers: dict[int, Numbers] = {}

    def load(self, workload: Workload, stop: int) -> None:
        """Sorted as the table is, so that its pages are filled one after another."""
        db, org = self._db, self._org(workload.org)
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO resource VALUES (?, ?, ?, ?)",
            ((number, org, kind, id_) for number, kind, id_ in resources_of(workload)),
        )
        conversations = sorted(set(workload.conversations[:stop]))
        db.executemany(
            "INSERT INTO conversation (id, org, session_id, ticket_number) VALUES (?, ?, ?, ?)",
            (
                (place + 1, org, workload.session_ids[place], workload.ticket_numbers[place])
                for place in conversations
            ),
        )
        db.executemany(
            "INSERT INTO reply VALUES (?, ?, ?, ?, ?)",
            (
                (place + 1, org, f"rep_{workload.reply_keys[place]:016x}", conversation + 1, at)
                for place, (conversation, at) in enumerate(
                    zip(workload.conversations[:stop], workload.replied_at[:stop], strict=True)
                )
            ),
        )
        parts = list(columns_of(workload, stop))
        columns = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
        order = np.lexsort([columns[name] for name in reversed(_COLUMNS[:5])])
        for first in range(0, len(order), _PART):
            part = order[first : first + _PART]
            rows = zip(*(columns[name][part].tolist() for name in _COLUMNS), strict=True)
            db.executemany("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    def record(self, org: str, replies: Sequence[Reply]) -> None:
        """One transaction; a reply's usages are looked for only if it was known before."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            org_id = self._org(org)
            number = self._numbers.setdefault(org_id, Numbers(self._finder(org_id)))
            rows: list[tuple[int, ...]] = []
            for reply in replies:
                known = self._reply(org_id, reply)
                if known is not None:
                    at, reply_number, conversation = known
                    rows += [
                        (resource, kind, at, reply_number, call, conversation)
                        for resource, kind, call in usages_of(reply, number)
                    ]
            rows.sort()
            db.executemany("INSERT OR IGNORE INTO usage VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def hand_off(self, org: str, handed_off_at: Mapping[str, datetime]) -> None:
        """One transaction."""
        org_id = self._org(org)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "UPDATE conversation SET handed_off_at = ? WHERE org = ? AND session_id = ?",
            ((micros(at), org_id, session_id) for session_id, at in handed_off_at.items()),
        )
        self._db.execute("COMMIT")

    def settle(self) -> int:
        """Fold the log in and gather the planner's statistics."""
        self._db.execute("ANALYZE")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._path.stat().st_size

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """One range of the key for each kind."""
        resource = self._resource(org, resource_type, resource_id)
        return summary(self._db.execute(_SUMMARY, (resource, *span(window)) * 2).fetchone())

    def resources(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: ResourcePosition | None = None,
    ) -> Page[ResourceUsage, ResourcePosition]:
        """Order by one seek for each resource, then count the page."""
        start, end = span(window)
        last = None if after is None or after.last_used_at is None else micros(after.last_used_at)
        values = {
            "org": self._orgs.get(org, _UNKNOWN),
            "type": resource_type,
            "start": start,
            "end": end,
            "first": after is None,
            "last": last,
            "id": "" if after is None else after.resource_id,
            "limit": limit + 1,
        }
        listed = self._db.execute(_LISTED, values).fetchall()
        return resource_page(
            (
                (resource_id, handoffs, *counted)
                for resource, resource_id in listed[: limit + 1]
                for handoffs, *counted in self._db.execute(
                    _LISTED_COUNTS, (resource, start, end) * 3
                )
            ),
            limit,
        )

    def conversations(
        self,
        org: str,
        resource_type: ResourceType,
        resource_id: str,
        window: Window,
        *,
        kind: UsageKind = UsageKind.APPLIED,
        limit: int,
        after: ConversationPosition | None = None,
    ) -> Page[ConversationUsage, ConversationPosition]:
        """Walk the key backwards until the page is full, then count its conversations."""
        resource, (start, end) = self._resource(org, resource_type, resource_id), span(window)
        values = {"resource": resource, "kind": KINDS[kind], "start": start, "end": end}
        found = self._newest(
            values, limit + 1, None if after is None else micros(after.last_used_at)
        )
        return conversation_page(
            (
                self._db.execute(_CONVERSATION, {**values, "conversation": conversation}).fetchone()
                for conversation in found
            ),
            limit,
        )

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """One range of the key for each kind, grouped by day."""
        resource = self._resource(org, resource_type, resource_id)
        within = (resource, micros(bounds[0]), micros(bounds[-1]))
        by_day = {row[0]: row[1:] for row in self._db.execute(_TIMELINE, within * 2)}
        return daily(by_day, bounds)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _newest(self, values: Mapping[str, int], count: int, before: int | None) -> Iterator[int]:
        """The conversations of the newest uses, without those used again after the last page."""
        seen = set[int]()
        end = values["end"] if before is None else before
        for (conversation,) in self._db.execute(_BACKWARDS, {**values, "end": end}):
            if conversation in seen:
                continue
            seen.add(conversation)
            again = {**values, "conversation": conversation, "before": before}
            if before is None or self._db.execute(_AGAIN, again).fetchone() is None:
                yield conversation
                count -= 1
                if not count:
                    return

    def _reply(self, org: int, reply: Reply) -> tuple[int, int, int] | None:
        """Time, number and conversation of a reply; None where it contradicts its first record."""
        at = micros(reply.replied_at)
        (conversation,) = self._db.execute(
            _CONVERSATION_ID, (org, reply.session_id, reply.ticket_number)
        ).fetchone()
        added = self._db.execute(_ADD_REPLY, (org, reply.reply_id, conversation, at)).fetchone()
        if added is not None:
            return at, added[0], conversation
        number, *fixed = self._db.execute(_FIND_REPLY, (org, reply.reply_id)).fetchone()
        return (at, number, conversation) if fixed == [conversation, at] else None

    def _org(self, name: str) -> int:
        if name not in self._orgs:
            row = self._db.execute("INSERT INTO org (name) VALUES (?) RETURNING id", (name,))
            self._orgs[name] = row.fetchone()[0]
        return self._orgs[name]

    def _resource(self, org: str, resource_type: ResourceType, resource_id: str) -> int:
        values = (self._orgs.get(org, _UNKNOWN), resource_type, resource_id)
        row = self._db.execute(_FIND_RESOURCE, values).fetchone()
        return _UNKNOWN if row is None else int(row[0])

    def _finder(self, org: int) -> Any:
        def find(resource_type: ResourceType, resource_id: str) -> int:
            values = (org, resource_type, resource_id)
            row = self._db.execute(_FIND_RESOURCE, values).fetchone()
            return int((row or self._db.execute(_ADD_RESOURCE, values).fetchone())[0])

        return find


_TABLES = """
CREATE TABLE org (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE resource (
    id INTEGER PRIMARY KEY, org INTEGER NOT NULL, type TEXT NOT NULL, resource_id TEXT NOT NULL,
    UNIQUE (org, type, resource_id)
);
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY, org INTEGER NOT NULL, session_id TEXT NOT NULL,
    ticket_number INTEGER, last_message TEXT, handed_off_at INTEGER,
    UNIQUE (org, session_id)
);
CREATE TABLE reply (
    id INTEGER PRIMARY KEY, org INTEGER NOT NULL, reply_id TEXT NOT NULL,
    conversation INTEGER NOT NULL, replied_at INTEGER NOT NULL,
    UNIQUE (org, reply_id)
);
CREATE INDEX reply_conversation ON reply (conversation, replied_at);
CREATE TABLE usage (
    resource INTEGER NOT NULL, kind INTEGER NOT NULL, replied_at INTEGER NOT NULL,
    reply INTEGER NOT NULL, call INTEGER NOT NULL, conversation INTEGER NOT NULL,
    PRIMARY KEY (resource, kind, replied_at, reply, call)
) WITHOUT ROWID;
"""
_FIND_RESOURCE = "SELECT id FROM resource WHERE org = ? AND type = ? AND resource_id = ?"
_ADD_RESOURCE = "INSERT INTO resource (org, type, resource_id) VALUES (?, ?, ?) RETURNING id"
_CONVERSATION_ID = """
INSERT INTO conversation (org, session_id, ticket_number) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET ticket_number = coalesce(excluded.ticket_number, ticket_number)
RETURNING id
"""
_ADD_REPLY = """
INSERT INTO reply (org, reply_id, conversation, replied_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING id
"""
_FIND_REPLY = "SELECT id, conversation, replied_at FROM reply WHERE org = ? AND reply_id = ?"
_SUMMARY = """
SELECT * FROM (
    SELECT count(*), count(DISTINCT conversation) FROM usage
    WHERE resource = ? AND kind = 0 AND replied_at >= ? AND replied_at < ?
), (
    SELECT count(*), count(DISTINCT conversation), min(replied_at), max(replied_at) FROM usage
    WHERE resource = ? AND kind = 1 AND replied_at >= ? AND replied_at < ?
)
"""
_LISTED = """
SELECT id, resource_id FROM (
    SELECT id, resource_id, (
        SELECT max(replied_at) FROM usage
        WHERE resource = resource.id AND kind = 1 AND replied_at >= :start AND replied_at < :end
    ) AS last_at
    FROM resource WHERE org = :org AND type = :type
)
WHERE (last_at IS NOT NULL OR EXISTS (
    SELECT 1 FROM usage
    WHERE resource = id AND kind = 0 AND replied_at >= :start AND replied_at < :end
)) AND (
    :first OR last_at < :last OR last_at IS :last AND resource_id > :id
    OR last_at IS NULL AND :last IS NOT NULL
)
ORDER BY last_at DESC NULLS LAST, resource_id LIMIT :limit
"""
_LISTED_COUNTS = """
SELECT handoffs, available, available_sessions, applied, applied_sessions, first_at, last_at FROM (
    SELECT count(*) AS available, count(DISTINCT conversation) AS available_sessions FROM usage
    WHERE resource = ? AND kind = 0 AND replied_at >= ? AND replied_at < ?
), (
    SELECT
        count(*) AS applied, count(DISTINCT conversation) AS applied_sessions,
        min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage WHERE resource = ? AND kind = 1 AND replied_at >= ? AND replied_at < ?
), (
    SELECT count(*) AS handoffs FROM (
        SELECT DISTINCT conversation FROM usage
        WHERE resource = ? AND kind = 1 AND replied_at >= ? AND replied_at < ?
    ) JOIN conversation ON conversation.id = conversation WHERE handed_off_at IS NOT NULL
)
"""
_BACKWARDS = """
SELECT conversation FROM usage
WHERE resource = :resource AND kind = :kind AND replied_at >= :start AND replied_at < :end
ORDER BY replied_at DESC, reply DESC, call DESC
"""
_USED = """
FROM reply CROSS JOIN usage ON
    resource = :resource AND kind = :kind AND usage.replied_at = reply.replied_at
    AND usage.reply = reply.id AND call = 0
"""
_AGAIN = f"""
SELECT 1 {_USED}
WHERE reply.conversation = :conversation
  AND reply.replied_at >= :before AND reply.replied_at < :end LIMIT 1
"""
_CONVERSATION = f"""
SELECT session_id, ticket_number, last_message, reply_count, first_at, last_at FROM (
    SELECT count(*) AS reply_count, min(reply.replied_at) AS first_at,
           max(reply.replied_at) AS last_at {_USED}
    WHERE reply.conversation = :conversation
      AND reply.replied_at >= :start AND reply.replied_at < :end
) JOIN conversation ON conversation.id = :conversation
"""
_TIMELINE = f"""
SELECT coalesce(available.day, applied.day), available.replies, available.sessions,
       applied.replies, applied.sessions, first_at, last_at
FROM (
    SELECT replied_at / {DAY} AS day, count(*) AS replies, count(DISTINCT conversation) AS sessions
    FROM usage WHERE resource = ? AND kind = 0 AND replied_at >= ? AND replied_at < ? GROUP BY 1
) AS available
FULL JOIN (
    SELECT replied_at / {DAY} AS day, count(*) AS replies, count(DISTINCT conversation) AS sessions,
           min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage WHERE resource = ? AND kind = 1 AND replied_at >= ? AND replied_at < ? GROUP BY 1
) AS applied USING (day)
"""
