"""PostgreSQL with rollups beside the usages, kept by each recording in its own transaction.

Distinct conversations do not add up over days, so that a rollup must keep them:

session_day    how often a conversation used a resource on a UTC day: a fourth of the usages' rows
session_total  which conversations ever used a resource, so that a total grows by what is new
usage_total    the counts of all time

Whole days are answered from ``session_day``, with the usages of the window's edges; all time from
``usage_total``. The pages of conversations are the covering index's.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg

from applyrate.usage import ResourceType, UsageSummary, Window
from bench.generator import Workload
from bench.peers.answers import daily, summary
from bench.peers.postgres.covering import ORDER, PAGE, Covering, open_database
from bench.peers.postgres.recording import Recorder

_DAY = timedelta(days=1)
_FIRST, _LAST = date(1970, 1, 1), date(9999, 12, 31)


class Rollup(Covering):
    """The covering index's answers, save where a rollup has better ones."""

    def __init__(self, address: str, server: ExitStack) -> None:
        super().__init__(address, server)
        self._connection.execute(_TABLES)

    def load(self, workload: Workload, stop: int) -> None:
        """The usages in bulk, then the rollups from them."""
        super().load(workload, stop)
        for statement in (_TABLES_ANEW, *_FILL):
            self._connection.execute(statement)

    def hand_off(self, org: str, handed_off_at: Mapping[str, datetime]) -> None:
        """The conversations, and the totals that they count in, in one transaction."""
        with self._connection.transaction():
            self._connection.execute(_COUNT_HANDOFFS, (org, list(handed_off_at)))
            super().hand_off(org, handed_off_at)

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """Totals, or days and edges; a window inside a day has nothing to roll up."""
        values = {"resource": self._resource(org, resource_type, resource_id)}
        if window == Window():
            rows = self._rows(_TOTAL, values, window, prepare=True)
            return summary(rows[0])
        days = _Days.within(window)
        if days is None:
            return super().summary(org, resource_type, resource_id, window)
        (row,) = self._rows(_count_one(days), {**values, **days.values}, window, prepare=True)
        return summary(row)

    def timeline(
        self, org: str, resource_type: ResourceType, resource_id: str, bounds: Sequence[datetime]
    ) -> list[UsageSummary]:
        """A day has a conversation once: nothing is left to tell apart."""
        window = Window(bounds[0], bounds[-1])
        values = {
            "resource": self._resource(org, resource_type, resource_id),
            "first_day": bounds[0].date(),
            "end_day": bounds[-1].date(),
        }
        return daily({row[0]: row[1:] for row in self._rows(_TIMELINE, values, window)}, bounds)

    def _recorder(self, org: str) -> Recorder:
        return RollupRecorder(self._connection, org)

    def _list_rows(self, values: Mapping[str, object], window: Window) -> list[tuple[Any, ...]]:
        if window == Window():
            return self._rows(_LIST_TOTALS, values, window)
        days = _Days.within(window)
        if days is None:
            return super()._list_rows(values, window)
        return self._rows(ORDER + _count_listed(days), {**values, **days.values}, window)


class RollupRecorder(Recorder):
    """Adds to the rollups what a recording added to the usages."""

    def __init__(self, connection: psycopg.Connection, org: str) -> None:
        super().__init__(connection, org)
        connection.execute(_STAGING, prepare=False)

    def added(self, cursor: psycopg.Cursor, lines: Sequence[str]) -> None:
        """Roll up new usages; they come as they were copied."""
        with cursor.copy(_COPY_ADDED) as copy:
            copy.write("".join(lines))
        self._roll_up(cursor)

    def inserted(self, cursor: psycopg.Cursor) -> None:
        """Roll up what the last statement returned."""
        rows = cursor.fetchall()
        if rows:
            with cursor.copy("COPY added FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            self._roll_up(cursor)

    def _roll_up(self, cursor: psycopg.Cursor) -> None:
        cursor.execute("ANALYZE added", prepare=False)
        cursor.execute(_ADD_DAYS, prepare=True)
        cursor.execute(_ADD_TOTALS, prepare=True)
        cursor.execute("TRUNCATE added", prepare=False)


class _Days:
    """The whole days of a window, and the facts of it: their rows, and the usages around them."""

    def __init__(self, window: Window, first: date, end: date) -> None:
        self.values = {
            "first_day": first,
            "end_day": end,
            "days_from": datetime.combine(first, time(), UTC),
            "days_to": datetime.combine(end, time(), UTC),
        }
        self._edges = []
        if window.from_at is not None and window.from_at != self.values["days_from"]:
            self._edges.append("replied_at >= %(from_at)s AND replied_at < %(days_from)s")
        if window.to_at is not None and window.to_at != self.values["days_to"]:
            self._edges.append("replied_at >= %(days_to)s AND replied_at < %(to_at)s")

    @classmethod
    def within(cls, window: Window) -> "_Days | None":
        """None where there is no whole day."""
        first, end = _FIRST, _LAST
        if window.from_at is not None:
            first = window.from_at.date()
            if window.from_at.time() != time():
                first += _DAY
        if window.to_at is not None:
            end = window.to_at.date()
        return cls(window, first, end) if first < end else None

    def facts(self, resource: str, kind: int) -> str:
        """The query for the facts of a resource, which is a name of SQL."""
        of_resource = f"resource = {resource} AND kind = {kind}"
        in_days = "day >= %(first_day)s AND day < %(end_day)s"
        rolled = "SELECT conversation, uses, first_at, last_at FROM session_day"
        parts = [f"{rolled} WHERE {of_resource} AND {in_days}"]
        parts += [
            "SELECT conversation, 1, replied_at, replied_at FROM usage"
            f" WHERE {of_resource} AND {edge}"
            for edge in self._edges
        ]
        return f"({' UNION ALL '.join(parts)}) AS facts"


def open_rollup(folder: Path) -> Rollup:
    """A server of its own on a folder, which ends when the peer is closed."""
    return open_database(folder, Rollup)


_TABLES_ANEW = "DROP TABLE IF EXISTS session_day, session_total, usage_total"
_TABLES = """
CREATE TABLE IF NOT EXISTS session_day (
    resource integer NOT NULL, kind smallint NOT NULL, day date NOT NULL,
    conversation integer NOT NULL, uses integer NOT NULL,
    first_at timestamptz NOT NULL, last_at timestamptz NOT NULL,
    PRIMARY KEY (resource, kind, day, conversation) INCLUDE (uses, first_at, last_at)
);
CREATE TABLE IF NOT EXISTS session_total (
    conversation integer NOT NULL, kind smallint NOT NULL, resource integer NOT NULL,
    PRIMARY KEY (conversation, kind, resource)
);
CREATE TABLE IF NOT EXISTS usage_total (
    resource integer NOT NULL, kind smallint NOT NULL, uses bigint NOT NULL,
    sessions bigint NOT NULL, handoffs bigint NOT NULL,
    first_at timestamptz NOT NULL, last_at timestamptz NOT NULL,
    PRIMARY KEY (resource, kind)
) WITH (fillfactor = 50);
"""
_FILL = (
    """
    CREATE TABLE session_day AS
    SELECT resource, kind, replied_at::date AS day, conversation, count(*)::integer AS uses,
           min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM usage GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """,
    """
    ALTER TABLE session_day
    ADD PRIMARY KEY (resource, kind, day, conversation) INCLUDE (uses, first_at, last_at)
    """,
    """
    CREATE TABLE session_total AS
    SELECT DISTINCT conversation, kind, resource FROM session_day ORDER BY 1, 2, 3
    """,
    "ALTER TABLE session_total ADD PRIMARY KEY (conversation, kind, resource)",
    """
    CREATE TABLE usage_total WITH (fillfactor = 50) AS
    SELECT resource, kind, sum(uses)::bigint AS uses, count(DISTINCT conversation) AS sessions,
           count(DISTINCT conversation.id) AS handoffs,
           min(first_at) AS first_at, max(last_at) AS last_at
    FROM session_day
    LEFT JOIN conversation ON conversation.id = conversation AND handed_off_at IS NOT NULL
    GROUP BY 1, 2
    """,
    "ALTER TABLE usage_total ADD PRIMARY KEY (resource, kind)",
)

_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS added (
    resource integer, kind smallint, call smallint, replied_at timestamptz, reply integer,
    conversation integer
) ON COMMIT DELETE ROWS
"""
_COPY_ADDED = "COPY added FROM STDIN"
# Sorted, so that concurrent transactions take their locks in the same order.
_ADD_DAYS = """
INSERT INTO session_day AS known (resource, kind, day, conversation, uses, first_at, last_at)
SELECT resource, kind, replied_at::date, conversation, count(*), min(replied_at), max(replied_at)
FROM added GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (resource, kind, day, conversation) DO UPDATE SET
    uses = known.uses + excluded.uses,
    first_at = least(known.first_at, excluded.first_at),
    last_at = greatest(known.last_at, excluded.last_at)
"""
_ADD_TOTALS = """
WITH new_session AS (
    INSERT INTO session_total (conversation, kind, resource)
    SELECT DISTINCT conversation, kind, resource FROM added ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING RETURNING *
),
sessions AS (
    SELECT resource, kind, count(*) AS sessions, count(conversation.id) AS handoffs
    FROM new_session
    LEFT JOIN conversation ON conversation.id = conversation AND handed_off_at IS NOT NULL
    GROUP BY 1, 2
),
uses AS (
    SELECT resource, kind, count(*) AS uses, min(replied_at) AS first_at, max(replied_at) AS last_at
    FROM added GROUP BY 1, 2
)
INSERT INTO usage_total AS known (resource, kind, uses, sessions, handoffs, first_at, last_at)
SELECT resource, kind, uses, coalesce(sessions, 0), coalesce(handoffs, 0), first_at, last_at
FROM uses LEFT JOIN sessions USING (resource, kind) ORDER BY 1, 2
ON CONFLICT (resource, kind) DO UPDATE SET
    uses = known.uses + excluded.uses,
    sessions = known.sessions + excluded.sessions,
    handoffs = known.handoffs + excluded.handoffs,
    first_at = least(known.first_at, excluded.first_at),
    last_at = greatest(known.last_at, excluded.last_at)
"""
_COUNT_HANDOFFS = """
UPDATE usage_total AS known SET handoffs = known.handoffs + gained FROM (
    SELECT resource, kind, count(*) AS gained
    FROM conversation JOIN session_total ON conversation = conversation.id
    WHERE org = (SELECT id FROM org WHERE name = %s) AND session_id = ANY (%s)
      AND handed_off_at IS NULL
    GROUP BY 1, 2
) AS added WHERE known.resource = added.resource AND known.kind = added.kind
"""

_TOTAL = """
SELECT available.uses, available.sessions, applied.uses, applied.sessions,
       applied.first_at, applied.last_at
FROM (VALUES (%(resource)s)) AS asked (id)
LEFT JOIN usage_total AS available ON available.resource = asked.id AND available.kind = 0
LEFT JOIN usage_total AS applied ON applied.resource = asked.id AND applied.kind = 1
"""
_LIST_TOTALS = f"""
SELECT resource_id, applied.handoffs, available.uses, available.sessions, applied.uses,
       applied.sessions, applied.first_at, applied.last_at
FROM (
    SELECT * FROM (
        SELECT resource.id, resource_id, last_at FROM resource
        LEFT JOIN usage_total ON resource = resource.id AND kind = 1
        WHERE org = (SELECT id FROM org WHERE name = %(org)s) AND type = %(type)s
          AND (last_at IS NOT NULL OR EXISTS (
            SELECT FROM usage_total WHERE resource = resource.id
        ))
    ) AS found
    {PAGE}
) AS listed
LEFT JOIN usage_total AS available ON available.resource = listed.id AND available.kind = 0
LEFT JOIN usage_total AS applied ON applied.resource = listed.id AND applied.kind = 1
ORDER BY applied.last_at DESC NULLS LAST, resource_id
"""
_TIMELINE = """
SELECT coalesce(available.day, applied.day), available.uses, available.sessions,
       applied.uses, applied.sessions, first_at, last_at
FROM (
    SELECT day - '1970-01-01'::date AS day, sum(uses)::bigint AS uses, count(*) AS sessions
    FROM session_day WHERE resource = %(resource)s AND kind = 0
      AND day >= %(first_day)s AND day < %(end_day)s
    GROUP BY 1
) AS available
FULL JOIN (
    SELECT day - '1970-01-01'::date AS day, sum(uses)::bigint AS uses, count(*) AS sessions,
           min(first_at) AS first_at, max(last_at) AS last_at
    FROM session_day WHERE resource = %(resource)s AND kind = 1
      AND day >= %(first_day)s AND day < %(end_day)s
    GROUP BY 1
) AS applied USING (day)
"""
_AVAILABLE = "SELECT coalesce(sum(uses), 0) AS uses, count(DISTINCT conversation) AS sessions"
_APPLIED = f"{_AVAILABLE}, min(first_at) AS first_at, max(last_at) AS last_at"


def _count_one(days: _Days) -> str:
    return f"""
    SELECT * FROM
    ({_AVAILABLE} FROM {days.facts("%(resource)s", 0)}) AS available,
    ({_APPLIED} FROM {days.facts("%(resource)s", 1)}) AS applied
    """


def _count_listed(days: _Days) -> str:
    return f"""
    SELECT resource_id, handoffs, available.uses, available.sessions, applied.uses,
           applied.sessions, first_at, applied.last_at
    FROM listed
    CROSS JOIN LATERAL ({_AVAILABLE} FROM {days.facts("listed.id", 0)}) AS available
    CROSS JOIN LATERAL (
        {_APPLIED}, count(DISTINCT conversation.id) AS handoffs
        FROM {days.facts("listed.id", 1)}
        LEFT JOIN conversation ON conversation.id = conversation AND handed_off_at IS NOT NULL
    ) AS applied
    ORDER BY applied.last_at DESC NULLS LAST, resource_id
    """
