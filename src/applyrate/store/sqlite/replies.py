"""What the first record of a reply fixed."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.names import find_named, forget_names
from applyrate.store.sqlite.rows import from_micros
from applyrate.usage import RecordedReply


class KnownReply(NamedTuple):
    """A recorded reply: its id and its conversation's, and what it is refused for if it differs."""

    key: int
    conversation: int
    session_id: str
    replied_at: int


def find_replies(
    db: sqlite3.Connection, org: str, reply_ids: Sequence[str]
) -> dict[str, RecordedReply]:
    """Those of the replies that are recorded, by ``reply_id``."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return {}
    (org_id,) = found
    known = read_replies(db, org_id, reply_ids)
    return {
        reply_id: RecordedReply(one.session_id, from_micros(one.replied_at))
        for reply_id, one in known.items()
    }


def read_replies(
    db: sqlite3.Connection, org: int, reply_ids: Sequence[str]
) -> dict[str, KnownReply]:
    """The same, as the file has them."""
    ids = find_named(db, "reply", org, reply_ids)
    wanted = msgspec.json.encode(list(ids.values())).decode()
    rows = db.execute(_READ, (wanted,)) if ids else ()
    return {reply_id: KnownReply(*row) for reply_id, *row in rows}


def delete_replies(db: sqlite3.Connection, org: int, keys: Sequence[int]) -> None:
    """Delete the rows of an organization's replies, and their names."""
    forget_names(db, "reply", org, keys)
    db.executemany("DELETE FROM reply WHERE id = ?", [(key,) for key in keys])


_READ = """
SELECT reply_id, reply.id, conversation.id, session_id, replied_at
FROM json_each(?) AS wanted CROSS JOIN reply ON reply.id = wanted.value
CROSS JOIN conversation ON conversation.id = reply.conversation
"""
