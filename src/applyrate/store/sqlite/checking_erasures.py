"""Checking what was erased: nothing of it is there again."""

import sqlite3
from collections.abc import Iterator

from applyrate.store.sqlite.tombstones import Tombstones


def erasure_faults(db: sqlite3.Connection) -> Iterator[str]:
    """Conversations in spite of their tombstones, or going without one, and retired ids in use."""
    for (org,) in db.execute("SELECT DISTINCT org FROM tombstone").fetchall():
        there = [session_id for (session_id,) in db.execute(_SESSION_IDS, (org,))]
        for session_id in sorted(Tombstones(db, org).among(there)):
            yield f"conversation {session_id}: it was erased, and is there again"
    for conversation, org, session_id in db.execute(_GOING).fetchall():
        if org is None:
            yield f"erasing {conversation}: there is no such conversation"
        elif session_id not in Tombstones(db, org).among([session_id]):
            yield f"conversation {session_id}: it is being erased, and has no tombstone"
    for query in _FAULTS:
        yield from (sentence for (sentence,) in db.execute(query))


_SESSION_IDS = """
SELECT session_id FROM conversation WHERE org = ? AND id NOT IN (SELECT conversation FROM erasing)
"""
_GOING = """
SELECT erasing.conversation, org, session_id
FROM erasing LEFT JOIN conversation ON conversation.id = erasing.conversation
"""
_FAULTS = (
    *(
        f"""
        SELECT '{of} ' || {of}.id || ': its id was retired' FROM highest_erased
        JOIN {of} ON {of}.id = highest_erased.id WHERE of = '{of}'
        """  # noqa: S608 (names of our own)
        for of in ("conversation", "reply", "resource")
    ),
    """
    SELECT 'emptied ' || resource_id || ': its version ' || version || ' is not one of the ' ||
        number || ' so far'
    FROM emptied JOIN usage_version WHERE version NOT BETWEEN 1 AND number
    """,
    """
    SELECT 'resource ' || resource_id || ': nobody used it, and it is not catalogued' FROM resource
    WHERE NOT catalogued AND NOT EXISTS (
        SELECT 1 FROM usage_total WHERE kind IN (0, 1) AND resource = resource.id
    )
    """,
)
