"""What is known of conversations: facts set for them, and the bitmap of those handed off."""

import sqlite3

import msgspec
from msgspec import UNSET
from pyroaring import BitMap

from applyrate.store.sqlite.directory import ConversationIds
from applyrate.store.sqlite.rows import (
    CONVERSATION_BLOCK_BITS,
    ORDINAL_MASK,
    pack,
    to_micros,
    unpack,
)
from applyrate.usage import ConversationFacts


def set_conversation(
    db: sqlite3.Connection, org: int, session_id: str, facts: ConversationFacts
) -> None:
    """Set the named facts of a conversation, which is made where it is new."""
    conversation = ConversationIds(db, org)[session_id]
    for name, query in _SET.items():
        value = getattr(facts, name)
        if value is UNSET:
            continue
        if name == "handed_off_at" and value is not None:
            value = to_micros(value)
        db.execute(query, (value, conversation))
    if facts.handed_off_at is not UNSET:
        _mark(db, org, conversation & ORDINAL_MASK, handed_off=facts.handed_off_at is not None)


def handed_off(db: sqlite3.Connection, org: int) -> dict[int, BitMap]:
    """The conversations of an organization that were handed off, by block."""
    query = "SELECT block, conversations FROM handed_off WHERE org = ?"
    return {block: unpack(packed) for block, packed in db.execute(query, (org,))}


def _mark(db: sqlite3.Connection, org: int, conversation: int, *, handed_off: bool) -> None:
    block = conversation >> CONVERSATION_BLOCK_BITS
    row = db.execute(
        "SELECT conversations FROM handed_off WHERE org = ? AND block = ?", (org, block)
    ).fetchone()
    marked = unpack(row[0]) if row else BitMap()
    (marked.add if handed_off else marked.discard)(conversation)
    db.execute(
        "REPLACE INTO handed_off (org, block, conversations) VALUES (?, ?, ?)",
        (org, block, pack(marked)),
    )


_SET = {
    name: f"UPDATE conversation SET {name} = ? WHERE id = ?"  # noqa: S608 (names of the struct's own)
    for name in (field.name for field in msgspec.structs.fields(ConversationFacts))
}
