"""What is known of conversations beside their replies."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET
from pyroaring import BitMap

from applyrate.store.sqlite.directory import ConversationIds
from applyrate.store.sqlite.handoffs import change_handoffs, handed_off
from applyrate.store.sqlite.outcome_rows import OutcomeChanges
from applyrate.store.sqlite.rows import ORDINAL_MASK, to_micros
from applyrate.usage import ConversationFacts


def set_conversations(
    db: sqlite3.Connection, org: int, facts: Mapping[str, ConversationFacts]
) -> None:
    """Set the named facts of conversations by ``session_id``; new ones are made."""
    ids, outcomes = ConversationIds(db, org), OutcomeChanges(db, org)
    began, ended = BitMap(), BitMap()
    for session_id, known in facts.items():
        conversation = ids[session_id]
        outcomes.note(conversation, known)
        for name, query in _SET.items():
            value = getattr(known, name)
            if value is UNSET:
                continue
            if name == "handed_off_at":
                (ended if value is None else began).add(conversation & ORDINAL_MASK)
                value = None if value is None else to_micros(value)
            db.execute(query, (value, conversation))
    outcomes.write()
    _change_handoffs(db, org, began, ended)


def bring_handoffs(db: sqlite3.Connection, org: int, handed_off_at: Mapping[str, datetime]) -> None:
    """Note when conversations were handed off, as what came with their replies tells it.

    The earliest time is kept; where the fact was set for a conversation, that goes on to count.
    """
    ids = ConversationIds(db, org)
    began = BitMap()
    for session_id, at in handed_off_at.items():
        conversation = ids[session_id]
        (is_set,) = db.execute(_BRING_HANDOFF, (to_micros(at), conversation)).fetchone()
        if not is_set:
            began.add(conversation & ORDINAL_MASK)
    _change_handoffs(db, org, began, BitMap())


def _change_handoffs(db: sqlite3.Connection, org: int, began: BitMap, ended: BitMap) -> None:
    """Note of conversations that they are handed off or not, whatever they were before."""
    if began or ended:
        before = handed_off(db, org, began | ended)
        change_handoffs(db, org, began=began - before, ended=ended & before)


_SET = {
    name: f"UPDATE conversation SET {name} = ? WHERE id = ?"  # noqa: S608 (names of our own)
    for name in (field.name for field in msgspec.structs.fields(ConversationFacts))
} | {
    "handed_off_at": ("UPDATE conversation SET handed_off_at = ?, handoff_is_set = 1 WHERE id = ?"),
}
_BRING_HANDOFF = """
UPDATE conversation SET reply_handed_off_at = min(ifnull(reply_handed_off_at, ?1), ?1)
WHERE id = ?2 RETURNING handoff_is_set
"""
