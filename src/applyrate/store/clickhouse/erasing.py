"""Erasing: a conversation and every trace of it go, and a tombstone stays that holds no word of it.

The tombstone comes first: from then on nothing of the conversation is recorded. Whoever records at
that moment looks for tombstones once more afterwards.
"""

from collections.abc import Iterable, Sequence

from applyrate.store.clickhouse.audit import new_entry_id, note_act
from applyrate.store.clickhouse.cluster import Cluster, Operation
from applyrate.store.clickhouse.removing import find_conversations, remove_conversations
from applyrate.store.clickhouse.rows import Numbers
from applyrate.store.clickhouse.tombstones import set_tombstones
from applyrate.usage import AuditAction, Erasure, UnfinishedErasure


def erase_conversations(
    db: Operation, numbers: Numbers, org: str, session_ids: Sequence[str], actor: str
) -> Erasure:
    """Erase conversations, whether or not anything is known of them."""
    named = list(dict.fromkeys(session_ids))
    for session_id in named:
        digest = numbers.digest(session_id).hex()
        note_act(db, org, actor, AuditAction.CONVERSATION_ERASE, target=digest)
    set_tombstones(db, numbers, org, named)
    # Noted before the removal, which takes away what would name the replies.
    found = find_conversations(db, numbers, org, named)
    db.insert(
        "unfinished_erasure_all",
        "erasure_id org session_id reply_ids",
        [
            (new_entry_id(), org, session_id, list(found.get(session_id, ())))
            for session_id in named
        ],
    )
    remove_conversations(db, numbers, org, found)
    return Erasure(len(found), sum(map(len, found.values())))


def unfinished_erasures(db: Operation) -> list[UnfinishedErasure]:
    """What was erased here and is not yet known to be gone everywhere else."""
    return [UnfinishedErasure(*row) for row in db.rows(_UNFINISHED)]


def finish_erasures(db: Operation, erasure_ids: Iterable[int]) -> None:
    """Forget what was erased by erasures that are done everywhere."""
    if ids := list(erasure_ids):
        db.delete("unfinished_erasure", "erasure_id IN {ids:Array(Int64)}", {"ids": ids})


def erase_messages(db: Operation, org: str, limit: int) -> int:
    """Erase the texts of messages of up to ``limit`` conversations; of how many there were any."""
    conversations = [one for (one,) in db.rows(_WITH_MESSAGE, {"org": org, "limit": limit})]
    if conversations:
        values = {"org": org, "conversations": conversations}
        db.delete("fact", _MESSAGES_OF, values)
    return len(conversations)


def needs_scrub(cluster: Cluster, db: Operation) -> bool:
    """Whether any part of a table still has rows that were deleted."""
    return any(_masked_tables(cluster, db))


def scrub(cluster: Cluster, db: Operation) -> None:
    """Write the parts anew that have rows that were deleted, without these."""
    for table in _masked_tables(cluster, db):
        db.command(f"ALTER TABLE {table} APPLY DELETED MASK", {}, {"mutations_sync": 2})


def _masked_tables(cluster: Cluster, db: Operation) -> list[str]:
    database = {"database": cluster.address.database}
    return [name for (name,) in db.rows(cluster.everywhere(_MASKED, "system.parts"), database)]


_UNFINISHED = """
SELECT erasure_id, org, session_id, reply_ids FROM unfinished_erasure_all
ORDER BY erasure_id LIMIT 1 BY erasure_id
"""
_WITH_MESSAGE = """
SELECT DISTINCT conversation FROM fact_all
WHERE org = {org:String} AND fact = 'last_message' AND tupleElement(said, 'is_given')
LIMIT {limit:UInt32}
"""
_MESSAGES_OF = """
org = {org:String} AND fact = 'last_message' AND conversation IN {conversations:Array(UInt64)}
"""
_MASKED = """
SELECT DISTINCT table FROM {table}
WHERE active AND database = {database:String} AND has_lightweight_delete ORDER BY table
"""
