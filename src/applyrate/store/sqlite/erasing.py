"""Erasing: a conversation and every trace of it go, and a tombstone stays that holds no word of it.

The first transaction sets the tombstone, from which on nothing more of it is taken, and takes the
texts away. Its replies go with it as far as they may go at once, which is all of them for nearly
every conversation; those of a longer one go in steps (see ``remove_replies``). Between two steps
``erasing`` has the conversation, and every count is that of the replies that are left. What is
known of it elsewhere goes afterwards; until then ``unfinished_erasure`` has a note of it.

All of it runs inside the caller's write transactions.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.audit import note_act, now_micros
from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.directory import FIND_ORGANIZATION, Directory
from applyrate.store.sqlite.handoffs import change_handoffs, handed_off
from applyrate.store.sqlite.ids import retire
from applyrate.store.sqlite.names import find_named, forget_names
from applyrate.store.sqlite.outcome_rows import OutcomeChanges
from applyrate.store.sqlite.removing import StoredReply, remove_replies
from applyrate.store.sqlite.rows import ORDINAL_BITS, ordinal_range
from applyrate.store.sqlite.tombstones import Tombstones
from applyrate.usage import AuditAction, ConversationFacts, Erasure, UnfinishedErasure

ERASED_AT_ONCE = 100
"""So many replies go with the first transaction, at most."""


def erase_conversations(
    db: sqlite3.Connection, days: Days, org: str, session_ids: Sequence[str], actor: str
) -> Erasure:
    """Begin to erase conversations, whether or not anything is known of them; what is gone."""
    org_id = Directory().organization(db, org)
    tombstones = Tombstones(db, org_id)
    for session_id in dict.fromkeys(session_ids):
        for key in find_named(db, "conversation", org_id, [session_id]).values():
            db.execute(_BEGIN, (key,))
            db.execute(_FORGET_FACTS, (key,))
        note_unfinished(db, org, session_id, [])
        digest = tombstones.digest(session_id).hex()
        note_act(db, org, actor, AuditAction.CONVERSATION_ERASE, target=digest)
    tombstones.add(session_ids, now_micros())
    return continue_erasing(db, days, org, ERASED_AT_ONCE)


def continue_erasing(db: sqlite3.Connection, days: Days, org: str, limit: int) -> Erasure:
    """Remove up to ``limit`` more replies of conversations that are being erased; what is gone.

    They are fewer where more would take too long. Nothing is gone once no conversation of the
    organization is being erased any more.
    """
    (org_id,) = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    ids_of: defaultdict[str, list[str]] = defaultdict(list)
    found = {
        StoredReply(*place): (session_id, reply_id)
        for *place, session_id, reply_id in db.execute(_NEXT, (*ordinal_range(org_id), limit))
    }
    removed = remove_replies(db, days, org_id, found).replies
    for one in removed:
        session_id, reply_id = found[one]
        ids_of[session_id].append(reply_id)
    for session_id, reply_ids in ids_of.items():
        note_unfinished(db, org, session_id, reply_ids)
    bare = BitMap([one for (one,) in db.execute(_BARE, (*ordinal_range(org_id), limit))])
    delete_conversations(db, org_id, bare)
    return Erasure(len(bare), len(removed))


def is_erasing(db: sqlite3.Connection, org: str) -> bool:
    """Whether any conversation of an organization is being erased."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    return bool(found and db.execute(_ANY, ordinal_range(found[0])).fetchone())


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
    forget_names(db, "conversation", org, keys)
    for table, key_name in (("conversation", "id"), ("erasing", "conversation")):
        query = f"DELETE FROM {table} WHERE {key_name} = ?"  # noqa: S608 (names of our own)
        db.executemany(query, [(key,) for key in keys])
    retire(db, "conversation", ordinal_range(org)[0], max(keys))


def erase_messages(db: sqlite3.Connection, org: str, limit: int) -> int:
    """Erase the texts of messages of up to ``limit`` conversations; of how many there were any."""
    keys = [key for (key,) in db.execute(_WITH_MESSAGE, (org, limit))]
    db.executemany(_ERASE_MESSAGE, [(key,) for key in keys])
    if keys:
        request_scrub(db)
    return len(keys)


def note_unfinished(
    db: sqlite3.Connection, org: str, session_id: str, reply_ids: Sequence[str]
) -> None:
    """Note what goes here and is to go elsewhere, too."""
    db.execute(_NOTE_UNFINISHED, (org, session_id, msgspec.json.encode(reply_ids).decode()))


def unfinished_erasures(db: sqlite3.Connection) -> list[UnfinishedErasure]:
    """Some of what was erased here and is not yet known to be gone everywhere else."""
    return [
        UnfinishedErasure(key, org, session_id, msgspec.json.decode(reply_ids, type=list[str]))
        for key, org, session_id, reply_ids in db.execute(_UNFINISHED, (_UNFINISHED_AT_A_TIME,))
    ]


def finish_erasures(db: sqlite3.Connection, erasure_ids: Iterable[int]) -> None:
    """Forget what was erased by erasures that are done everywhere; the file is to be scrubbed."""
    db.executemany(_FORGET, [(key,) for key in erasure_ids])


def request_scrub(db: sqlite3.Connection) -> None:
    """Note that the file is to be scrubbed: something was deleted."""
    db.execute(_REQUEST_SCRUB)


def needs_scrub(db: sqlite3.Connection) -> bool:
    """Whether the file is to be scrubbed, or will be once what was erased is gone elsewhere."""
    return bool(db.execute("SELECT 1 FROM unfinished_erasure LIMIT 1").fetchone())


def scrub_requests(db: sqlite3.Connection) -> list[int]:
    """What the file is to be scrubbed for."""
    return [key for (key,) in db.execute(_SCRUB_REQUESTS)]


def forget_scrub_requests(db: sqlite3.Connection, requests: Iterable[int]) -> None:
    """Note that the file was scrubbed since these were made."""
    db.executemany("DELETE FROM unfinished_erasure WHERE id = ?", [(key,) for key in requests])


_NOTHING_KNOWN = ConversationFacts(status=None, csat=None)

_UNFINISHED_AT_A_TIME = 100

_ANY = "SELECT 1 FROM erasing WHERE conversation BETWEEN ? AND ? LIMIT 1"
_BEGIN = "INSERT OR IGNORE INTO erasing (conversation) VALUES (?)"
_FORGET_FACTS = """
UPDATE conversation SET ticket_number = NULL, last_message = NULL, reply_ticket_number = NULL,
    reply_ticket_number_at = NULL, reply_last_message = NULL, reply_last_message_at = NULL
WHERE id = ?
"""
# In the order of their numbers, which is nearly that of their times: so few rows are touched.
_NEXT = """
SELECT reply.id & 0xFFFFFFFF, reply.conversation & 0xFFFFFFFF, replied_at, session_id, reply_id
FROM erasing CROSS JOIN reply ON reply.conversation = erasing.conversation
    CROSS JOIN conversation ON conversation.id = erasing.conversation
WHERE erasing.conversation BETWEEN ? AND ? ORDER BY erasing.conversation, reply.id LIMIT ?
"""
_BARE = """
SELECT conversation & 0xFFFFFFFF FROM erasing
WHERE conversation BETWEEN ? AND ?
    AND NOT EXISTS (SELECT 1 FROM reply WHERE reply.conversation = erasing.conversation) LIMIT ?
"""
_NOTE_UNFINISHED = """
INSERT INTO unfinished_erasure (org, session_id, reply_ids) VALUES (?, ?, ?)
"""
_UNFINISHED = """
SELECT id, org, session_id, reply_ids FROM unfinished_erasure
WHERE session_id <> '' ORDER BY id LIMIT ?
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
