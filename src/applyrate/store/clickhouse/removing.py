"""Removing: replies and conversations go with every row of theirs, on every node.

The row of a reply goes last of its rows: a removal that was cut off finds it again.
"""

from collections.abc import Mapping, Sequence

from applyrate.store.clickhouse.changes import note_changes
from applyrate.store.clickhouse.claims import PART
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.facts import delete_facts
from applyrate.store.clickhouse.names import find_used
from applyrate.store.clickhouse.rows import Numbers
from applyrate.usage import ResourceType


def remove_replies(db: Operation, org: str, replies: Sequence[int]) -> None:
    """Remove replies by their numbers, and the names of resources that have no usage left."""
    for first in range(0, len(replies), PART):
        values = {"org": org, "replies": replies[first : first + PART]}
        resources = [(of, one) for of, one in db.rows(_RESOURCES, values)]
        for table in ("usage", "claim", "disowned", "reply"):
            db.delete(table, _OF_REPLIES, values)
        _forget_names(db, org, resources)
        note_changes(db, org, resources)


def find_conversations(
    db: Operation, numbers: Numbers, org: str, session_ids: Sequence[str]
) -> dict[str, dict[str, int]]:
    """The conversations that are known, by ``session_id``: the numbers of their replies by id."""
    named = {numbers.conversation(session_id): session_id for session_id in session_ids}
    values = {"org": org, "conversations": list(named)}
    found = {named[conversation]: dict[str, int]() for (conversation,) in db.rows(_KNOWN, values)}
    for conversation, reply, reply_id in db.rows(_REPLIES, values):
        found.setdefault(named[conversation], {})[reply_id] = reply
    return found


def remove_conversations(
    db: Operation, numbers: Numbers, org: str, found: Mapping[str, Mapping[str, int]]
) -> None:
    """Remove conversations that were found, with all of their replies."""
    remove_replies(db, org, [reply for replies in found.values() for reply in replies.values()])
    delete_facts(db, org, [numbers.conversation(session_id) for session_id in found])


def _forget_names(db: Operation, org: str, resources: Sequence[tuple[str, str]]) -> None:
    for of in ResourceType:
        ids = [resource_id for name, resource_id in resources if name == of.value]
        unused = set(ids) - find_used(db, org, of, ids)
        if unused:
            values = {"org": org, "type": of.value, "ids": sorted(unused)}
            db.delete("resource_name", _OF_RESOURCES, values)


_OF_REPLIES = "org = {org:String} AND reply IN {replies:Array(UInt64)}"
_OF_CONVERSATIONS = "org = {org:String} AND conversation IN {conversations:Array(UInt64)}"
_OF_RESOURCES = """
org = {org:String} AND resource_type = {type:String} AND resource_id IN {ids:Array(String)}
"""
_RESOURCES = f"SELECT DISTINCT resource_type, resource_id FROM usage_all WHERE {_OF_REPLIES}"
_KNOWN = f"SELECT DISTINCT conversation FROM fact_all WHERE {_OF_CONVERSATIONS}"
_REPLIES = f"""
SELECT DISTINCT conversation, reply, reply_id FROM reply_all WHERE {_OF_CONVERSATIONS}
ORDER BY conversation, reply_id
"""
