"""Recording: durable and deduplicated, as many replies a commit as are given.

Replies and conversations are inserted with ON CONFLICT from a temporary table. Usages of a reply
that this very transaction inserted cannot be there yet: they are copied straight into their table.
Only usages of replies that were known go through a temporary table and ON CONFLICT, which looks
into the index twice for each row: recording everything that way was measured 1.7 times slower.
"""

from collections.abc import Iterable, Sequence
from itertools import count

import psycopg

from applyrate.usage import Reply, ResourceType
from bench.peers.encoding import Numbers, Usage, usages_of

_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_reply (
    place integer, reply_id text, session_id text, replied_at timestamptz, ticket_number bigint
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS staged_usage (
    place integer, resource integer, kind smallint, call smallint
) ON COMMIT DELETE ROWS;
"""
_FIND_OR_INSERT_ORG = """
INSERT INTO org (name) VALUES (%s)
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
"""
_FIND_OR_INSERT_RESOURCE = """
INSERT INTO resource (org, type, resource_id) VALUES (%s, %s, %s)
ON CONFLICT (org, type, resource_id) DO UPDATE SET type = excluded.type RETURNING id
"""
_INSERT_CONVERSATIONS = """
INSERT INTO conversation AS known (org, session_id, ticket_number)
SELECT %(org)s, session_id, max(ticket_number) FROM staged_reply GROUP BY session_id
ON CONFLICT (org, session_id) DO UPDATE SET ticket_number = excluded.ticket_number
WHERE excluded.ticket_number IS NOT NULL
  AND excluded.ticket_number IS DISTINCT FROM known.ticket_number
"""
_INSERT_REPLIES = """
INSERT INTO reply (org, reply_id, replied_at, conversation)
SELECT %(org)s, reply_id, replied_at, conversation.id
FROM staged_reply JOIN conversation USING (session_id)
WHERE conversation.org = %(org)s
ORDER BY place
ON CONFLICT DO NOTHING
RETURNING reply_id, id, conversation
"""
_COPY_USAGES = "COPY usage (resource, kind, call, replied_at, reply, conversation) FROM STDIN"
_INSERT_KNOWN_USAGES = """
INSERT INTO usage (resource, kind, replied_at, reply, call, conversation)
SELECT resource, kind, reply.replied_at, reply.id, call, reply.conversation
FROM staged_reply
JOIN staged_usage USING (place)
JOIN reply USING (reply_id, replied_at)
JOIN conversation ON conversation.id = reply.conversation
WHERE reply.org = %(org)s AND conversation.session_id = staged_reply.session_id
ORDER BY resource, kind, replied_at
ON CONFLICT DO NOTHING
RETURNING resource, kind, call, replied_at, reply, conversation
"""


class Recorder:
    """Records replies of one organization; the ids of resources, which are few, are remembered.

    A reply's conversation and time are those of its first record: usages of one that contradicts
    it find no reply to join.
    """

    def __init__(self, connection: psycopg.Connection, org: str) -> None:
        self._connection = connection
        self._org = dictionary_id(connection, _FIND_OR_INSERT_ORG, (org,))
        self._number = Numbers(self._find_resource)
        connection.execute(_STAGING, prepare=False)

    def record(self, replies: Sequence[Reply]) -> None:
        """Record them in one transaction."""
        connection, org = self._connection, {"org": self._org}
        usages = [usages_of(reply, self._number) for reply in replies]
        with connection.transaction(), connection.cursor() as cursor:
            _copy(cursor, "COPY staged_reply FROM STDIN", map(_reply_line, count(), replies))
            # Nobody else analyzes a temporary table; a plan for one reply is none for 1000.
            cursor.execute("ANALYZE staged_reply", prepare=False)
            cursor.execute(_INSERT_CONVERSATIONS, org, prepare=True)
            cursor.execute(_INSERT_REPLIES, org, prepare=True)
            inserted = {row[0]: (row[1], row[2]) for row in cursor.fetchall()}
            new, known = [], []
            for place, reply in enumerate(replies):
                # A reply that stands twice in the batch is new once.
                if ids := inserted.pop(reply.reply_id, None):
                    rest = f"{reply.replied_at}\t{ids[0]}\t{ids[1]}\n"
                    new += [(usage, rest) for usage in usages[place]]
                else:
                    known += [(place, usage) for usage in usages[place]]
            new.sort(key=_by_resource)  # side by side in the index
            if new:
                lines = [f"{r}\t{k}\t{c}\t{rest}" for (r, k, c), rest in new]
                _copy(cursor, _COPY_USAGES, lines)
                self.added(cursor, lines)
            if known:
                lines = [f"{place}\t{r}\t{k}\t{c}\n" for place, (r, k, c) in known]
                _copy(cursor, "COPY staged_usage FROM STDIN", lines)
                cursor.execute("ANALYZE staged_usage", prepare=False)
                cursor.execute(_INSERT_KNOWN_USAGES, org)
                self.inserted(cursor)

    def added(self, cursor: psycopg.Cursor, lines: Sequence[str]) -> None:
        """What else the transaction does with the usages of new replies, as they were copied."""

    def inserted(self, cursor: psycopg.Cursor) -> None:
        """The same with the new usages of known replies, which the cursor has."""

    def _find_resource(self, resource_type: ResourceType, resource_id: str) -> int:
        values = (self._org, resource_type.value, resource_id)
        return dictionary_id(self._connection, _FIND_OR_INSERT_RESOURCE, values)


def dictionary_id(connection: psycopg.Connection, query: str, values: tuple[int | str, ...]) -> int:
    """The integer that stands for something, from a query for it alone."""
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])


def _copy(cursor: psycopg.Cursor, statement: str, lines: Iterable[str]) -> None:
    with cursor.copy(statement) as copy:
        copy.write("".join(lines))


def _reply_line(place: int, reply: Reply) -> str:
    ticket = "\\N" if reply.ticket_number is None else reply.ticket_number
    return f"{place}\t{reply.reply_id}\t{reply.session_id}\t{reply.replied_at}\t{ticket}\n"


def _by_resource(row: tuple[Usage, str]) -> Usage:
    return row[0]
