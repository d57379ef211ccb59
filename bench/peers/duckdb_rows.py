"""DuckDB: columns, compressed, in the process.

A usage is a row of small integers, ordered by resource, kind and time, so that the smallest and
largest values of each group of rows tell which groups a question must read. There is no index over
usages: one as large as the table would have to fit into memory and be kept with every commit. A
reply that is new brings only new usages; those of a known one are looked for before they are added.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

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

pa: Any = import_module("pyarrow")  # which has no types

_FILE = "usages.duckdb"
_UNKNOWN = -1
_COLUMNS = ("resource", "kind", "replied_at", "reply", "call", "conversation")


class DuckDB:
    """The peer on one file; a commit is in its write-ahead log, synced, when it returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        new = not self._path.exists()
        self._db = duckdb.connect(str(self._path))
        if new:
            self._db.execute(_TABLES)
        self._orgs: dict[str, int] = dict(self._db.execute("SELECT name, id FROM org").fetchall())
        self._numbers: dict[int, Numbers] = {}
        self._resources: dict[tuple[int, str, str], int] = {
            (org, type_, resource_id): number
            for number, org, type_, resource_id in self._db.execute(
                "SELECT id, org, type, resource_id FROM resource"
            ).fetchall()
        }

    def load(self, workload: Workload, stop: int) -> None:
        """Insert in chunks; ``settle`` sorts."""
        org = self._org(workload.org)
        self._insert(
            "resource",
            ("id", "org", "type", "resource_id"),
            [(number, org, type_.value, id_) for number, type_, id_ in resources_of(workload)],
        )
        self._resources |= {
            (org, type_.value, id_): number for number, type_, id_ in resources_of(workload)
        }
        conversations = sorted(set(workload.conversations[:stop]))
        self._insert(
            "conversation",
            ("id", "org", "session_id", "ticket_number"),
            [
                (place + 1, org, workload.session_ids[place], workload.ticket_numbers[place])
                for place in conversations
            ],
        )
        self._insert(
            "reply",
            ("id", "org", "reply_id", "conversation", "replied_at"),
            [
                (place + 1, org, f"rep_{workload.reply_keys[place]:016x}", conversation + 1, at)
                for place, (conversation, at) in enumerate(
                    zip(workload.conversations[:stop], workload.replied_at[:stop], strict=True)
                )
            ],
        )
        for columns in columns_of(workload, stop):
            staged = pa.table({name: columns[name] for name in _COLUMNS})
            self._staged("staged", staged, "INSERT INTO usage SELECT * FROM staged")
        self.settle()

    def record(self, org: str, replies: Sequence[Reply]) -> None:
        """One transaction, each statement over all replies at once."""
        org_id = self._org(org)
        number = self._numbers.setdefault(org_id, Numbers(self._finder(org_id)))
        self._db.execute("BEGIN")
        try:
            self._record(org_id, replies, number)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _record(self, org: int, replies: Sequence[Reply], number: Numbers) -> None:
        staged = pa.table(
            {
                "place": range(len(replies)),
                "reply_id": [reply.reply_id for reply in replies],
                "session_id": [reply.session_id for reply in replies],
                "replied_at": [micros(reply.replied_at) for reply in replies],
                "ticket_number": pa.array([reply.ticket_number for reply in replies], pa.int64()),
            }
        )
        self._staged("staged", staged, _ADD_CONVERSATIONS.format(org=org))
        added = {
            reply_id: (id_, conversation)
            for reply_id, id_, conversation in self._staged(
                "staged", staged, _ADD_REPLIES.format(org=org)
            )
        }
        new: list[tuple[int, ...]] = []
        known: list[tuple[int, ...]] = []
        for place, reply in enumerate(replies):
            usages = usages_of(reply, number)
            # A reply that stands twice in the batch is new once.
            if ids := added.pop(reply.reply_id, None):
                at = micros(reply.replied_at)
                new += [
                    (resource, kind, at, ids[0], call, ids[1]) for resource, kind, call in usages
                ]
            else:
                known += [(place, *usage) for usage in usages]
        if new:
            new.sort()
            self._staged("staged", _table(_COLUMNS, new), "INSERT INTO usage SELECT * FROM staged")
        if known:
            rows = _table(("place", "resource", "kind", "call"), known)
            self._db.register("staged_usage", rows)
            self._staged("staged", staged, _ADD_KNOWN.format(org=org))
            self._db.unregister("staged_usage")

    def hand_off(self, org: str, handed_off_at: Mapping[str, datetime]) -> None:
        """One statement."""
        if not handed_off_at:
            return
        rows = [(session_id, micros(at)) for session_id, at in handed_off_at.items()]
        self._staged(
            "staged",
            _table(("session_id", "handed_off_at"), rows),
            "UPDATE conversation SET handed_off_at = staged.handed_off_at FROM staged"
            f" WHERE conversation.session_id = staged.session_id AND org = {self._org(org)}",
        )

    def settle(self) -> int:
        """Sort the usages anew, as a nightly job would, and give the old pages back."""
        self._db.execute(_SORT)
        self._db.execute("CHECKPOINT")
        return sum(file.stat().st_size for file in self._path.parent.glob(f"{_FILE}*"))

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """One scan for both kinds, grouped by conversation before it is counted."""
        resource = self._resource(org, resource_type, resource_id)
        row = self._db.execute(_SUMMARY, (resource, *span(window))).fetchone()
        assert row is not None
        return summary(row)

    def resources(
        self,
        org: str,
        resource_type: ResourceType,
        window: Window,
        *,
        limit: int,
        after: ResourcePosition | None = None,
    ) -> Page[ResourceUsage, ResourcePosition]:
        """Order by the last uses alone, then count the page."""
        start, end = span(window)
        last = None if after is None or after.last_used_at is None else micros(after.last_used_at)
        values = {
            "org": self._orgs.get(org, _UNKNOWN),
            "type": resource_type.value,
            "start": start,
            "end": end,
            "first": after is None,
            "last": last,
            "id": "" if after is None else after.resource_id,
            "limit": limit + 1,
        }
        listed = self._db.execute(_LISTED, values).fetchall()
        if not listed:
            return resource_page((), limit)
        within = {"start": start, "end": end, "ids": [row[0] for row in listed]}
        counted = {row[0]: row[1:] for row in self._db.execute(_COUNTED, within).fetchall()}
        return resource_page(
            ((resource_id, *counted[number]) for number, resource_id in listed), limit
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
        """Group all conversations by their last use, cut the page, then look their names up."""
        start, end = span(window)
        values = {
            "resource": self._resource(org, resource_type, resource_id),
            "kind": KINDS[kind],
            "start": start,
            "end": end,
            "before": end if after is None else micros(after.last_used_at),
            "limit": limit + 1,
        }
        return conversation_page(self._db.execute(_CONVERSATIONS, values).fetchall(), limit)

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """One scan, grouped by day and conversation before it is counted."""
        resource = self._resource(org, resource_type, resource_id)
        values = (resource, micros(bounds[0]), micros(bounds[-1]))
        by_day = {row[0]: row[1:] for row in self._db.execute(_TIMELINE, values).fetchall()}
        return daily(by_day, bounds)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _insert(
        self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
    ) -> None:
        names = ", ".join(columns)
        self._staged(
            "staged", _table(columns, rows), f"INSERT INTO {table} ({names}) SELECT * FROM staged"
        )

    def _staged(self, name: str, rows: Any, query: str) -> list[Any]:
        """Run a statement over an Arrow table, which it reads where it lies."""
        self._db.register(name, rows)
        try:
            return self._db.execute(query).fetchall()
        finally:
            self._db.unregister(name)

    def _org(self, name: str) -> int:
        if name not in self._orgs:
            self._orgs[name] = len(self._orgs) + 1
            self._db.execute("INSERT INTO org VALUES (?, ?)", (self._orgs[name], name))
        return self._orgs[name]

    def _resource(self, org: str, resource_type: ResourceType, resource_id: str) -> int:
        key = (self._orgs.get(org, _UNKNOWN), resource_type.value, resource_id)
        return self._resources.get(key, _UNKNOWN)

    def _finder(self, org: int) -> Any:
        def find(resource_type: ResourceType, resource_id: str) -> int:
            key = (org, resource_type.value, resource_id)
            if key not in self._resources:
                self._resources[key] = len(self._resources) + 1
                self._db.execute(
                    "INSERT INTO resource VALUES (?, ?, ?, ?)", (self._resources[key], *key)
                )
            return self._resources[key]

        return find


def _table(columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> Any:
    return pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))


_TABLES = """
CREATE TABLE org (id INTEGER NOT NULL, name VARCHAR NOT NULL);
CREATE TABLE resource (
    id INTEGER NOT NULL, org INTEGER NOT NULL, type VARCHAR NOT NULL, resource_id VARCHAR NOT NULL
);
CREATE TABLE conversation (
    id INTEGER NOT NULL, org INTEGER NOT NULL, session_id VARCHAR NOT NULL,
    ticket_number BIGINT, last_message VARCHAR, handed_off_at BIGINT,
    PRIMARY KEY (org, session_id)
);
CREATE TABLE reply (
    id INTEGER NOT NULL, org INTEGER NOT NULL, reply_id VARCHAR NOT NULL,
    conversation INTEGER NOT NULL, replied_at BIGINT NOT NULL,
    PRIMARY KEY (org, reply_id)
);
CREATE TABLE usage (
    resource INTEGER NOT NULL, kind UTINYINT NOT NULL, replied_at BIGINT NOT NULL,
    reply INTEGER NOT NULL, call USMALLINT NOT NULL, conversation INTEGER NOT NULL
);
"""
_SORT = """
BEGIN;
CREATE TABLE sorted AS SELECT * FROM usage ORDER BY resource, kind, replied_at, reply, call;
DROP TABLE usage;
ALTER TABLE sorted RENAME TO usage;
COMMIT;
"""
# Ids go on from the largest there is: there is one writer.
_ADD_CONVERSATIONS = """
INSERT INTO conversation (id, org, session_id, ticket_number)
SELECT (SELECT coalesce(max(id), 0) FROM conversation) + row_number() OVER (), {org}, *
FROM (SELECT session_id, max(ticket_number) FROM staged GROUP BY session_id)
ON CONFLICT (org, session_id)
DO UPDATE SET ticket_number = coalesce(excluded.ticket_number, ticket_number)
WHERE excluded.ticket_number IS DISTINCT FROM ticket_number
"""
_ADD_REPLIES = """
INSERT INTO reply
SELECT (SELECT coalesce(max(id), 0) FROM reply) + row_number() OVER (ORDER BY place),
       {org}, reply_id, conversation.id, replied_at
FROM (SELECT * FROM staged QUALIFY row_number() OVER (PARTITION BY reply_id ORDER BY place) = 1) s
JOIN conversation ON org = {org} AND conversation.session_id = s.session_id
ON CONFLICT DO NOTHING RETURNING reply_id, id, conversation
"""
_ADD_KNOWN = """
INSERT INTO usage
SELECT DISTINCT added.resource, added.kind, reply.replied_at, reply.id, added.call,
       reply.conversation
FROM staged_usage AS added
JOIN staged USING (place)
JOIN reply ON reply.org = {org} AND reply.reply_id = staged.reply_id
    AND reply.replied_at = staged.replied_at
JOIN conversation
    ON conversation.id = reply.conversation AND conversation.session_id = staged.session_id
WHERE NOT EXISTS (
    SELECT 1 FROM usage
    WHERE usage.resource = added.resource AND usage.kind = added.kind
      AND usage.replied_at = reply.replied_at AND usage.reply = reply.id
      AND usage.call = added.call
)
"""
_INSIDE = "resource = ? AND replied_at >= ? AND replied_at < ?"
_TALLY = """
    coalesce(sum(used) FILTER (kind = 0), 0)::BIGINT, count(*) FILTER (kind = 0),
    coalesce(sum(used) FILTER (kind = 1), 0)::BIGINT, count(*) FILTER (kind = 1),
    min(first_at) FILTER (kind = 1), max(last_at) FILTER (kind = 1)
"""
_USED = "count(*) AS used, min(replied_at) AS first_at, max(replied_at) AS last_at"
_SUMMARY = f"""
SELECT {_TALLY} FROM (
    SELECT kind, conversation, {_USED} FROM usage WHERE {_INSIDE} GROUP BY ALL
)
"""
_TIMELINE = f"""
SELECT day, {_TALLY} FROM (
    SELECT replied_at // {DAY} AS day, kind, conversation, {_USED} FROM usage
    WHERE {_INSIDE} GROUP BY ALL
) GROUP BY day
"""
_LISTED = """
SELECT id, resource_id FROM (
    SELECT resource, max(replied_at) FILTER (kind = 1) AS last_at FROM usage
    WHERE resource IN (SELECT id FROM resource WHERE org = $org AND type = $type)
      AND replied_at >= $start AND replied_at < $end
    GROUP BY resource
) JOIN resource ON id = resource
WHERE $first OR last_at < $last OR last_at IS NOT DISTINCT FROM $last AND resource_id > $id
   OR last_at IS NULL AND $last IS NOT NULL
ORDER BY last_at DESC NULLS LAST, resource_id LIMIT $limit
"""
_COUNTED = f"""
SELECT resource, count(*) FILTER (kind = 1 AND handed_off_at IS NOT NULL), {_TALLY} FROM (
    SELECT resource, kind, conversation, {_USED} FROM usage
    WHERE resource IN (SELECT unnest($ids))
      AND replied_at >= $start AND replied_at < $end
    GROUP BY ALL
) LEFT JOIN conversation ON conversation.id = conversation AND handed_off_at IS NOT NULL
GROUP BY resource
"""
_CONVERSATIONS = """
SELECT session_id, ticket_number, last_message, replies, first_at, last_at FROM (
    SELECT conversation, count(*) FILTER (call = 0) AS replies,
           min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage
    WHERE resource = $resource AND kind = $kind AND replied_at >= $start AND replied_at < $end
    GROUP BY conversation HAVING max(replied_at) < $before ORDER BY last_at DESC LIMIT $limit
) JOIN conversation ON conversation.id = conversation
ORDER BY last_at DESC, session_id
"""
