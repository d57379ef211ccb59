"""What the first record of a reply fixed."""

import sqlite3
from collections.abc import Sequence

import msgspec

from applyrate.store.sqlite.rows import from_micros
from applyrate.usage import RecordedReply


def find_replies(
    db: sqlite3.Connection, org: str, reply_ids: Sequence[str]
) -> dict[str, RecordedReply]:
    """Those of the replies that are recorded, by ``reply_id``."""
    rows = db.execute(_FIND, (org, msgspec.json.encode(reply_ids).decode()))
    return {
        reply_id: RecordedReply(session_id, from_micros(replied_at))
        for reply_id, session_id, replied_at in rows
    }


_FIND = """
SELECT reply_id, session_id, replied_at
FROM organization CROSS JOIN json_each(?2) AS wanted
CROSS JOIN reply ON reply.org = organization.id AND reply_id = wanted.value
CROSS JOIN conversation ON conversation.id = reply.conversation
WHERE organization.name = ?1
"""
