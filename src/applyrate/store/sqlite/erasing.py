"""Erasing: a conversation and every trace of it go, and a tombstone stays that holds no word of it.

It runs inside the caller's write transaction: the counts, bitmaps and sums lose it at one moment.
What is known of it elsewhere goes afterwards; until then the transaction's note of it stands.
"""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.audit import note_act, now_micros
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_CONVERSATION, Directory
from applyrate.store.sqlite.handoffs import change_handoffs, handed_off
from applyrate.store.sqlite.ids import retire
from applyrate.store.sqlite.outcome_rows import OutcomeChanges
from applyrate.store.sqlite.removing import StoredReply, remove_replies
from applyrate.store.sqlite.rows import ORDINAL_BITS, ORDINAL_MASK, ordinal_range
from applyrate.store.sqlite.tombstones import Tombstones
from applyrate.usage import AuditAction, ConversationFacts, Erasure, UnfinishedErasure


def erase_conversations(
    db: sqlite3.Connection, days: Days, org: str, session_ids: Sequence[str], actor: str
) -> Erasure:
    """Erase conversations, whether or not anything is known of them."""
    org_id = Directory().organization(db, org)
    tombstones = Tombstones(db, org_id)
    conversations, replies = BitMap(), list[StoredReply]()
    for session_id in dict.fromkeys(session_ids):
        reply_ids = list[str]()
        if found := db.execute(FIND_CONVERSATION, (org_id, session_id)).fetchone():
            (key,) = found
            conversations.add(key & ORDINAL_MASK)
            for reply, conversation, replied_at, reply_id in db.execute(_REPLIES, (key,)):
                replies.append(StoredReply(reply, conversation, replied_at))
                reply_ids.append(reply_id)
        told = msgspec.json.encode(reply_ids).decode()
        db.execute(_NOTE_UNFINISHED, (org, session_id, told))
        digest = tombstones.digest(session_id).hex()
        note_act(db, org, actor, AuditAction.CONVERSATION_ERASE, target=digest)
    remove_replies(db, days, org_id, replies)
    delete_conversations(db, org_id, conversations)
    tombstones.add(session_ids, now_micros())
    return Erasure(len(conversations), len(replies))


def delete_conversations(db: sqlite3.Connection, org: int, conversations: BitMap) -> None:
    """Delete conversations (ordinals) without a reply, and all that is known of them."""
    if not conversations:
        return
    handoffs = handed_off(db, org, conversations) & conversations
    change_handoffs(db, org, began=BitMap(), ended=handoffs)
    outcomes = OutcomeChanges(db, org)
    keys = [org << ORDINAL_BITS | conversation for conversation in conversations]
    for key in keys:
        outcomes.note(key, _NOTHING_KNOWN)
    outcomes.write()
    db.executemany("DELETE FROM conversation WHERE id = ?", [(key,) for key in keys])
    retire(db, "conversation", ordinal_range(org)[0], max(keys))


def erase_messages(db: sqlite3.Connection, org: str, limit: int) -> int:
    """Erase the texts of messages of up to ``limit`` conversations; of how many there were any."""
    keys = [key for (key,) in db.execute(_WITH_MESSAGE, (org, limit))]
    db.executemany(_ERASE_MESSAGE, [(key,) for key in keys])
    if keys:
        request_scrub(db)
    return len(keys)


def unfinished_erasures(db: sqlite3.Connection) -> list[UnfinishedErasure]:
    """What was erased here and is not yet known to be gone everywhere else."""
    return [
        UnfinishedErasure(key, org, session_id, msgspec.json.decode(reply_ids, type=list[str]))
        for key, org, session_id, reply_ids in db.execute(_UNFINISHED)
    ]


def finish_erasures(db: sqlite3.Connection, erasure_ids: Iterable[int]) -> None:
    """Forget what was erased by erasures that are done everywhere; the file is to be scrubbed."""
    db.executemany(_FORGET, [(key,) for key in erasure_ids])


def request_scrub(db: sqlite3.Connection) -> None:
    """Note that the file is to be scrubbed: something was deleted."""
    db.execute(_REQUEST_SCRUB)


def scrub_requests(db: sqlite3.Connection) -> list[int]:
    """What the file is to be scrubbed for."""
    return [key for (key,) in db.execute(_SCRUB_REQUESTS)]


def forget_scrub_requests(db: sqlite3.Connection, requests: Iterable[int]) -> None:
    """Note that the file was scrubbed since these were made."""
    db.executemany("DELETE FROM unfinished_erasure WHERE id = ?", [(key,) for key in requests])


_NOTHING_KNOWN = ConversationFacts(status=None, csat=None)

_REPLIES = """
SELECT id & 0xFFFFFFFF, conversation & 0xFFFFFFFF, replied_at, reply_id FROM reply
WHERE conversation = ?
"""
_NOTE_UNFINISHED = """
INSERT INTO unfinished_erasure (org, session_id, reply_ids) VALUES (?, ?, ?)
"""
_UNFINISHED = """
SELECT id, org, session_id, reply_ids FROM unfinished_erasure WHERE session_id <> '' ORDER BY id
"""
_FORGET = "UPDATE unfinished_erasure SET org = '', session_id = '', reply_ids = '' WHERE id = ?"
_SCRUB_REQUESTS = "SELECT id FROM unfinished_erasure WHERE session_id = ''"
_REQUEST_SCRUB = """
INSERT INTO unfinished_erasure (org, session_id, reply_ids)
SELECT '', '', '' WHERE NOT EXISTS (SELECT 1 FROM unfinished_erasure WHERE session_id = '')
"""
_WITH_MESSAGE = """
SELECT conversation.id
FROM organization JOIN conversation ON conversation.org = organization.id
WHERE organization.name = ? AND coalesce(last_message, reply_last_message) IS NOT NULL LIMIT ?
"""
_ERASE_MESSAGE = """
UPDATE conversation
SET last_message = NULL, reply_last_message = NULL, reply_last_message_at = NULL WHERE id = ?
"""
