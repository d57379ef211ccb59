"""One conversation: what is known of it, and what each of its replies had and applied."""

import sqlite3
from collections.abc import Mapping, Sequence

from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.names import find_named
from applyrate.store.sqlite.reply_usages import Resource, Used, read_reply_usages
from applyrate.store.sqlite.rows import from_micros
from applyrate.usage import Conversation, ReplyUsage, ResourceType


def read_conversation(db: sqlite3.Connection, org: str, session_id: str) -> Conversation | None:
    """A conversation with its replies in the order of their times, ties by ``reply_id``."""
    organization = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if organization is None:
        return None
    (org_id,) = organization
    key = find_named(db, "conversation", org_id, [session_id]).get(session_id)
    if key is None:
        return None
    ticket_number, last_message, handed_off_at, status, csat = db.execute(_FACTS, (key,)).fetchone()
    replies = db.execute(_REPLIES, (key,)).fetchall()
    usages = read_reply_usages(db, org_id, {ordinal: at for ordinal, _, at in replies})
    return Conversation(
        session_id=session_id,
        ticket_number=ticket_number,
        last_message=last_message,
        handed_off_at=None if handed_off_at is None else from_micros(handed_off_at),
        status=status,
        csat=csat,
        replies=[_usage(reply_id, at, usages[ordinal]) for ordinal, reply_id, at in replies],
    )


def _usage(reply_id: str, at: int, used: Used) -> ReplyUsage:
    invoked = [resource for resource, count in used.applied for _ in range(count)]
    return ReplyUsage(reply_id, from_micros(at), _by_type(used.available), _by_type(invoked))


def _by_type(resources: Sequence[Resource]) -> Mapping[ResourceType, Sequence[str]]:
    """The ids by type; a type without any is there, too."""
    ids: dict[ResourceType, list[str]] = {resource_type: [] for resource_type in ResourceType}
    for resource_type, resource_id in resources:
        ids[resource_type].append(resource_id)
    return ids


_FACTS = """
SELECT ifnull(ticket_number, reply_ticket_number),
       ifnull(last_message, reply_last_message),
       iif(handoff_is_set, handed_off_at, reply_handed_off_at), status, csat
FROM conversation WHERE id = ?
"""
_REPLIES = """
SELECT id & 0xFFFFFFFF, reply_id, replied_at FROM reply INDEXED BY reply_conversation
WHERE conversation = ? ORDER BY replied_at, reply_id
"""
