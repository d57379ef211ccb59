"""PostgreSQL asked as most people would: every row is computed before the page is cut."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString

from applyrate.usage import Window
from bench.peers.postgres.covering import COUNT_EACH, PAGE, Covering, open_database


class Plain(Covering):
    """The covering index's tables and summaries, with the plain queries for its pages."""

    def _list_rows(self, values: Mapping[str, object], window: Window) -> list[tuple[Any, ...]]:
        return self._rows(_COUNT_THEN_ORDER, values, window)

    def _conversation_rows(
        self, values: Mapping[str, object], window: Window
    ) -> list[tuple[Any, ...]]:
        return self._rows(_GROUP_ALL, values, window)


def open_plain(folder: Path) -> Plain:
    """A server of its own on a folder, which ends when the peer is closed."""
    return open_database(folder, Plain)


_COUNT_THEN_ORDER: LiteralString = f"""
SELECT * FROM (
    SELECT resource_id, applied.handoffs, available.replies, available.sessions,
           applied.replies, applied.sessions, first_at, last_at
    FROM resource AS listed
    {COUNT_EACH}
    WHERE org = (SELECT id FROM org WHERE name = %(org)s) AND type = %(type)s
      AND (applied.replies > 0 OR available.replies > 0)
) AS counted
{PAGE}
"""
# The first invocation of an action in a reply is call 0: as many as there are replies.
_GROUP_ALL = """
SELECT session_id, ticket_number, last_message, reply_count, first_at, last_at
FROM (
    SELECT
        conversation, count(*) FILTER (WHERE call = 0) AS reply_count,
        min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage WHERE resource = %(resource)s AND kind = %(kind)s {inside}
    GROUP BY conversation
    HAVING %(before)s::timestamptz IS NULL OR max(replied_at) < %(before)s
    ORDER BY last_at DESC LIMIT %(limit)s
) AS page
JOIN conversation ON conversation.id = conversation
ORDER BY last_at DESC, session_id
"""
