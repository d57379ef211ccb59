"""PostgreSQL with one covering index: each question by the query that answered it best.

summary        ``count(DISTINCT)`` over one range of the index; grouping, hashing and parallel
               plans were all slower
list           orders first, with one probe of the index for each resource, then counts the page
conversations  walks the index backwards until the page is full, then counts the page
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import psycopg

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
from bench.peers.answers import conversation_page, daily, resource_page, summary
from bench.peers.encoding import KINDS
from bench.peers.postgres.recording import Recorder
from bench.peers.postgres.schema import create_tables, load_bulk
from bench.peers.postgres.server import create_cluster, find_programs, serve_cluster

_UNKNOWN = -1


class Covering:
    """Asks and records through one connection.

    The ids of organizations and resources, which are few, are remembered. A summary is a prepared
    statement. The longer questions are planned each time, for 0.3 ms: a plan that knows neither
    the resource nor the limit can be fifty times worse than none.
    """

    def __init__(self, address: str, server: ExitStack) -> None:
        self.address = address
        self._server = server
        self._connection = server.enter_context(psycopg.connect(address, autocommit=True))
        self._recorders: dict[str, Recorder] = {}
        self._ids: dict[tuple[str, str, str], int] = {}

    def load(self, workload: Workload, stop: int) -> None:
        """By COPY into tables without indexes, which are then built."""
        load_bulk(self.address, workload, stop)

    def record(self, org: str, replies: Sequence[Reply]) -> None:
        """One transaction."""
        if org not in self._recorders:
            self._recorders[org] = self._recorder(org)
        self._recorders[org].record(replies)

    def hand_off(self, org: str, handed_off_at: Mapping[str, datetime]) -> None:
        """One statement."""
        values = (list(handed_off_at), list(handed_off_at.values()), org)
        self._connection.execute(_HAND_OFF, values)

    def settle(self) -> int:
        """Mark pages visible for index-only scans; the size of the database without its log."""
        self._connection.execute("VACUUM ANALYZE")
        self._connection.execute("CHECKPOINT")
        row = self._connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """One range of the index for each kind."""
        values = {"resource": self._resource(org, resource_type, resource_id)}
        (row,) = self._rows(_SUMMARY, values, window, prepare=True)
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
        """Order, then count the page."""
        values = {
            "org": org,
            "type": resource_type.value,
            "first": after is None,
            "last": after and after.last_used_at,
            "id": after and after.resource_id,
            "limit": limit + 1,
        }
        return resource_page(self._list_rows(values, window), limit)

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
        """Walk the index backwards from where the last page ended; what came before is left out."""
        values = {
            "resource": self._resource(org, resource_type, resource_id),
            "kind": KINDS[kind],
            "limit": limit + 1,
            "before": after and after.last_used_at,
        }
        return conversation_page(self._conversation_rows(values, window), limit)

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """One range of the index for each kind, grouped by day."""
        values = {"resource": self._resource(org, resource_type, resource_id)}
        window = Window(bounds[0], bounds[-1])
        return daily({row[0]: row[1:] for row in self._rows(_TIMELINE, values, window)}, bounds)

    def close(self) -> None:
        """End the connection and the server."""
        self._server.close()

    def _recorder(self, org: str) -> Recorder:
        return Recorder(self._connection, org)

    def _list_rows(self, values: Mapping[str, object], window: Window) -> list[tuple[Any, ...]]:
        return self._rows(ORDER + _COUNT, values, window)

    def _conversation_rows(
        self, values: Mapping[str, object], window: Window
    ) -> list[tuple[Any, ...]]:
        later = values["before"] is not None
        query = _WALK_BACKWARDS.replace("{unseen}", _UNSEEN if later else "").replace(
            "{below}", "AND replied_at < %(before)s" if later else ""
        )
        return self._rows(query, values, window)

    def _resource(self, org: str, resource_type: ResourceType, resource_id: str) -> int:
        key = (org, resource_type.value, resource_id)
        if key not in self._ids:
            row = self._connection.execute(_FIND_RESOURCE, key).fetchone()
            if row is None:
                return _UNKNOWN
            self._ids[key] = row[0]
        return self._ids[key]

    def _rows(
        self, query: str, values: Mapping[str, object], window: Window, *, prepare: bool = False
    ) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(
                query.replace("{inside}", _inside(window)).encode(),
                {**values, "from_at": window.from_at, "to_at": window.to_at},
                prepare=prepare,
            )
            return cursor.fetchall()


Kept = TypeVar("Kept", bound=Covering)


def open_covering(folder: Path) -> Covering:
    """A server of its own on a folder, which ends when the peer is closed."""
    return open_database(folder, Covering)


def open_database(folder: Path, peer: Callable[[str, ExitStack], Kept]) -> Kept:
    """The same for a class of peer; the tables are made where they are not there yet."""
    programs = find_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed")
    data = folder / "data"
    if not data.exists():
        create_cluster(programs, data)
    with ExitStack() as server:
        address = server.enter_context(serve_cluster(programs, data))
        create_tables(address)
        return peer(address, server.pop_all())


def _inside(window: Window) -> str:
    """The condition of a window; of all time, none."""
    after = "" if window.from_at is None else " AND replied_at >= %(from_at)s"
    before = "" if window.to_at is None else " AND replied_at < %(to_at)s"
    return after + before


_FIND_RESOURCE = """
SELECT resource.id FROM resource JOIN org ON org.id = resource.org
WHERE name = %s AND type = %s AND resource_id = %s
"""
_HAND_OFF = """
UPDATE conversation SET handed_off_at = at
FROM unnest(%s::text[], %s::timestamptz[]) AS handed_off (session, at)
WHERE session_id = session AND org = (SELECT id FROM org WHERE name = %s)
"""
_SUMMARY = """
SELECT * FROM (
    SELECT count(*), count(DISTINCT conversation) FROM usage
    WHERE resource = %(resource)s AND kind = 0 {inside}
) AS available, (
    SELECT count(*), count(DISTINCT conversation), min(replied_at), max(replied_at) FROM usage
    WHERE resource = %(resource)s AND kind = 1 {inside}
) AS applied
"""
_TIMELINE = """
SELECT coalesce(available.day, applied.day), available.uses, available.sessions,
       applied.uses, applied.sessions, first_at, last_at
FROM (
    SELECT replied_at::date - '1970-01-01'::date AS day,
           count(*) AS uses, count(DISTINCT conversation) AS sessions
    FROM usage WHERE resource = %(resource)s AND kind = 0 {inside} GROUP BY 1
) AS available
FULL JOIN (
    SELECT replied_at::date - '1970-01-01'::date AS day,
           count(*) AS uses, count(DISTINCT conversation) AS sessions,
           min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage WHERE resource = %(resource)s AND kind = 1 {inside} GROUP BY 1
) AS applied USING (day)
"""

PAGE: LiteralString = """
WHERE %(first)s OR last_at < %(last)s::timestamptz
   OR last_at IS NOT DISTINCT FROM %(last)s::timestamptz AND resource_id > %(id)s::text
   OR last_at IS NULL AND %(last)s::timestamptz IS NOT NULL
ORDER BY last_at DESC NULLS LAST, resource_id LIMIT %(limit)s
"""
ORDER = f"""
WITH listed AS MATERIALIZED (
    SELECT * FROM (
        SELECT resource.id, resource_id, last_at FROM resource
        LEFT JOIN LATERAL (
            SELECT replied_at AS last_at FROM usage
            WHERE resource = resource.id AND kind = 1 {{inside}}
            ORDER BY replied_at DESC LIMIT 1
        ) AS applied ON true
        WHERE org = (SELECT id FROM org WHERE name = %(org)s) AND type = %(type)s
          AND (last_at IS NOT NULL OR EXISTS (
            SELECT FROM usage WHERE resource = resource.id AND kind = 0 {{inside}}
        ))
    ) AS found
    {PAGE}
)
"""
COUNT_EACH: LiteralString = """
CROSS JOIN LATERAL (
    SELECT count(*) AS replies, count(DISTINCT conversation) AS sessions FROM usage
    WHERE resource = listed.id AND kind = 0 {inside}
) AS available
CROSS JOIN LATERAL (
    SELECT
        count(*) AS replies, count(DISTINCT conversation) AS sessions,
        count(DISTINCT conversation.id) AS handoffs,
        min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage
    LEFT JOIN conversation ON conversation.id = conversation AND handed_off_at IS NOT NULL
    WHERE resource = listed.id AND kind = 1 {inside}
) AS applied
"""
_COUNT: LiteralString = f"""
SELECT resource_id, handoffs, available.replies, available.sessions,
       applied.replies, applied.sessions, first_at, applied.last_at
FROM listed
{COUNT_EACH}
ORDER BY applied.last_at DESC NULLS LAST, resource_id
"""

# The first invocation of an action in a reply is call 0: as many as there are replies.
_WALK_BACKWARDS = """
WITH RECURSIVE newest AS (
    (
        SELECT conversation, replied_at, reply, call, ARRAY[conversation] AS seen
        FROM usage WHERE resource = %(resource)s AND kind = %(kind)s {inside} {below}
        ORDER BY replied_at DESC, reply DESC, call DESC LIMIT 1
    )
    UNION ALL (
        SELECT older.*, seen || older.conversation FROM newest
        CROSS JOIN LATERAL (
            SELECT conversation, replied_at, reply, call FROM usage
            WHERE resource = %(resource)s AND kind = %(kind)s {inside}
              AND (replied_at, reply, call) < (newest.replied_at, newest.reply, newest.call)
              AND conversation <> ALL (seen)
            ORDER BY replied_at DESC, reply DESC, call DESC LIMIT 1
        ) AS older
    )
),
page AS MATERIALIZED (SELECT conversation FROM newest {unseen} LIMIT %(limit)s)
SELECT session_id, ticket_number, last_message, reply_count, first_at, last_at
FROM page
JOIN conversation ON conversation.id = conversation
CROSS JOIN LATERAL (
    SELECT count(*) AS reply_count, min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM reply WHERE reply.conversation = page.conversation {inside} AND EXISTS (
        SELECT FROM usage
        WHERE resource = %(resource)s AND kind = %(kind)s
          AND usage.replied_at = reply.replied_at AND usage.reply = reply.id
    )
) AS used
ORDER BY last_at DESC, session_id
"""
_UNSEEN = """
WHERE NOT EXISTS (
    SELECT FROM reply JOIN usage
    ON usage.resource = %(resource)s AND usage.kind = %(kind)s
       AND usage.replied_at = reply.replied_at AND usage.reply = reply.id
    WHERE reply.conversation = newest.conversation AND reply.replied_at >= %(before)s
      AND (%(to_at)s::timestamptz IS NULL OR reply.replied_at < %(to_at)s)
)
"""
