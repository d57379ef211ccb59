"""The contract's questions, each by the query that answered it best, first pages only.

summary        ``count(DISTINCT)`` over one range of the index; grouping, hashing and parallel
               plans were all slower
list           orders first, with one probe of the index for each resource, then counts the page
conversations  walks the index backwards until the page is full, then counts the page

``PlainPostgreSQL`` asks as most people would: every row is computed before the page is cut.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from applyrate.usage import (
    ConversationPosition,
    ConversationUsage,
    Page,
    ResourcePosition,
    ResourceType,
    ResourceUsage,
    UsageSummary,
    Window,
)

_UNKNOWN = -1


class PostgreSQL:
    """Asks one database through one connection.

    The ids of organizations and resources, which are few, are remembered. A summary is a prepared
    statement. The longer questions are planned each time, for 0.3 ms: a plan that knows neither
    the resource nor the limit can be fifty times worse than none.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._orgs: dict[str, int] = dict(connection.execute("SELECT name, id FROM org").fetchall())
        self._ids: dict[tuple[int, str, str], int] = {
            (org, resource_type, resource_id): id_
            for id_, org, resource_type, resource_id in connection.execute(
                "SELECT id, org, type, resource_id FROM resource"
            )
        }

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """The counts of one resource."""
        values = {"resource": self._resource(org, resource_type, resource_id)}
        (row,) = self._rows(_SUMMARY, values, window, prepare=True)
        return UsageSummary(**_counts(row))

    def resources(
        self, org: str, resource_type: ResourceType, window: Window, *, limit: int
    ) -> Page[ResourceUsage, ResourcePosition]:
        """The resources of a type with a fact in the window, last used first."""
        values = {"org": self._orgs[org], "type": resource_type.value, "limit": limit + 1}
        rows = self._rows(self._list_query, values, window)
        items = [
            ResourceUsage(resource_id=row[0], handoff_count=row[1], **_counts(row[2:]))
            for row in rows[:limit]
        ]
        if len(rows) <= limit:
            return Page(items, None)
        last = items[-1]
        return Page(
            items,
            ResourcePosition(last.last_used_at, without_fact=False, resource_id=last.resource_id),
        )

    def conversations(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window, *, limit: int
    ) -> Page[ConversationUsage, ConversationPosition]:
        """The conversations that applied a resource, last used first."""
        resource = self._resource(org, resource_type, resource_id)
        values = {"resource": resource, "limit": limit + 1}
        rows = self._rows(self._conversations_query, values, window)
        items = [
            ConversationUsage(
                session_id=row[0],
                ticket_number=row[1],
                last_message=row[2],
                reply_count=row[3],
                first_used_at=row[4],
                last_used_at=row[5],
            )
            for row in rows[:limit]
        ]
        if len(rows) <= limit:
            return Page(items, None)
        return Page(items, ConversationPosition(items[-1].last_used_at, items[-1].session_id))

    def _resource(self, org: str, resource_type: ResourceType, resource_id: str) -> int:
        return self._ids.get((self._orgs[org], resource_type.value, resource_id), _UNKNOWN)

    def _rows(
        self, query: str, values: Mapping[str, object], window: Window, *, prepare: bool = False
    ) -> Sequence[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(
                query.replace("{inside}", _inside(window)),
                {**values, "from_at": window.from_at, "to_at": window.to_at},
                prepare=prepare,
            )
            return cursor.fetchall()

    @property
    def _list_query(self) -> str:
        return _ORDER_THEN_COUNT

    @property
    def _conversations_query(self) -> str:
        return _WALK_BACKWARDS


class PlainPostgreSQL(PostgreSQL):
    """The same questions with every row computed before the page is cut."""

    @property
    def _list_query(self) -> str:
        return _COUNT_THEN_ORDER

    @property
    def _conversations_query(self) -> str:
        return _GROUP_ALL


def _inside(window: Window) -> str:
    """The condition of a window; of all time, none."""
    after = "" if window.from_at is None else " AND replied_at >= %(from_at)s"
    before = "" if window.to_at is None else " AND replied_at < %(to_at)s"
    return after + before


def _counts(row: Sequence[Any]) -> dict[str, Any]:
    """The fields of a summary: what was available, then what was applied."""
    available_replies, available_sessions, applied_replies, applied_sessions, first, last = row
    return {
        "session_count": applied_sessions,
        "applied_sessions": applied_sessions,
        "applied_replies": applied_replies,
        "available_sessions": available_sessions,
        "available_replies": available_replies,
        "first_used_at": first,
        "last_used_at": last,
    }


_SUMMARY = """
SELECT * FROM (
    SELECT count(*), count(DISTINCT conversation) FROM usage
    WHERE resource = %(resource)s AND kind = 0 {inside}
) AS available, (
    SELECT count(*), count(DISTINCT conversation), min(replied_at), max(replied_at) FROM usage
    WHERE resource = %(resource)s AND kind = 1 {inside}
) AS applied
"""

_COUNT_EACH = """
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
_LISTED_COLUMNS = """
    resource_id, applied.handoffs, available.replies, available.sessions,
    applied.replies, applied.sessions, applied.first_at, applied.last_at
"""
_ORDER_THEN_COUNT = f"""
WITH listed AS MATERIALIZED (
    SELECT resource.id, resource_id FROM resource
    LEFT JOIN LATERAL (
        SELECT replied_at AS last_at FROM usage
        WHERE resource = resource.id AND kind = 1 {{inside}}
        ORDER BY replied_at DESC LIMIT 1
    ) AS applied ON true
    WHERE org = %(org)s AND type = %(type)s AND (last_at IS NOT NULL OR EXISTS (
        SELECT FROM usage WHERE resource = resource.id AND kind = 0 {{inside}}
    ))
    ORDER BY last_at DESC NULLS LAST, resource_id LIMIT %(limit)s
)
SELECT {_LISTED_COLUMNS} FROM listed {_COUNT_EACH}
ORDER BY last_at DESC NULLS LAST, resource_id
"""
_COUNT_THEN_ORDER = f"""
SELECT {_LISTED_COLUMNS} FROM resource AS listed {_COUNT_EACH}
WHERE org = %(org)s AND type = %(type)s AND (applied.replies > 0 OR available.replies > 0)
ORDER BY last_at DESC NULLS LAST, resource_id LIMIT %(limit)s
"""

# The first invocation of an action in a reply is call 0: as many as there are replies.
_GROUP_ALL = """
SELECT session_id, ticket_number, last_message, reply_count, first_at, last_at
FROM (
    SELECT
        conversation, count(*) FILTER (WHERE call = 0) AS reply_count,
        min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage WHERE resource = %(resource)s AND kind = 1 {inside}
    GROUP BY conversation ORDER BY last_at DESC LIMIT %(limit)s
) AS page
JOIN conversation ON conversation.id = conversation
ORDER BY last_at DESC, session_id
"""
_WALK_BACKWARDS = """
WITH RECURSIVE newest AS (
    (
        SELECT conversation, replied_at, reply, call, ARRAY[conversation] AS seen
        FROM usage WHERE resource = %(resource)s AND kind = 1 {inside}
        ORDER BY replied_at DESC, reply DESC, call DESC LIMIT 1
    )
    UNION ALL (
        SELECT older.*, seen || older.conversation FROM newest
        CROSS JOIN LATERAL (
            SELECT conversation, replied_at, reply, call FROM usage
            WHERE resource = %(resource)s AND kind = 1 {inside}
              AND (replied_at, reply, call) < (newest.replied_at, newest.reply, newest.call)
              AND conversation <> ALL (seen)
            ORDER BY replied_at DESC, reply DESC, call DESC LIMIT 1
        ) AS older
    )
),
page AS MATERIALIZED (SELECT conversation FROM newest LIMIT %(limit)s)
SELECT session_id, ticket_number, last_message, reply_count, first_at, last_at
FROM page
JOIN conversation ON conversation.id = conversation
CROSS JOIN LATERAL (
    SELECT count(*) AS reply_count, min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM reply WHERE reply.conversation = page.conversation {inside} AND EXISTS (
        SELECT FROM usage
        WHERE resource = %(resource)s AND kind = 1
          AND usage.replied_at = reply.replied_at AND usage.reply = reply.id
    )
) AS used
ORDER BY last_at DESC, session_id
"""
