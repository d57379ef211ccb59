"""What is known of conversations beside their replies."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from pyroaring import BitMap

from applyrate.store.sqlite.directory import ConversationIds, ErasedConversation
from applyrate.store.sqlite.handoffs import change_handoffs, handed_off
from applyrate.store.sqlite.outcome_rows import OutcomeChanges
from applyrate.store.sqlite.rows import ORDINAL_MASK, to_micros
from applyrate.usage import ConversationFacts


def set_conversations(
    db: sqlite3.Connection, org: int, facts: Mapping[str, ConversationFacts]
) -> list[str]:
    """Set the named facts of conversations by ``session_id``; new ones are made.

    Those that were erased are left alone, and returned.
    """
    ids, outcomes = ConversationIds(db, org), OutcomeChanges(db, org)
    ids.meet(facts)
    began, ended = BitMap(), BitMap()
    erased = list[str]()
    for session_id, known in facts.items():
        try:
            conversation = ids[session_id]
        except ErasedConversation:
            erased.append(session_id)
            continue
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
    return erased


def without_message(facts: ConversationFacts) -> ConversationFacts:
    """The same facts without the text of a message; taking one back is still told."""
    return replace(facts, last_message=None) if isinstance(facts.last_message, str) else facts


def bring_handoffs(db: sqlite3.Connection, org: int, handed_off_at: Mapping[str, datetime]) -> None:
    """Note when conversations were handed off, as what came with their replies tells it.

    The earliest time is kept; where the fact was set for a conversation, that goes on to count.
    """
    ids = ConversationIds(db, org)
    ids.meet(handed_off_at)
    began = BitMap()
    for session_id, at in handed_off_at.items():
        try:
            conversation = ids[session_id]
        except ErasedConversation:
            continue
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
