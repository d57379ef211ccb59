"""Columns of conversations: how many applied each resource of a type on a day.

Beside the columns of usages they are of use only where conversations can be added up over days. One
that comes back on another day counts on both, so it is known of those that do which resources they
applied. They are few: a conversation mostly ends on the day on which it began.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from pyroaring import BitMap

from applyrate.store.sqlite.columns import Column, ColumnKey, make_column, size_of
from applyrate.store.sqlite.kept import Kept
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import ORDINAL_BITS, resource_range


class ConversationColumn(NamedTuple):
    """The conversations that applied the resources of a type on a day, or on a part of it.

    ``counts`` and ``handoff_counts`` say for each resource how many there were, and how many of
    them were ``handed_off``. ``pairs`` are the applications by those in ``returning``: in the low
    32 bits of each is the conversation, above them the number of the resource.
    """

    conversations: BitMap
    counts: Column
    handed_off: BitMap
    handoff_counts: Column
    returning: BitMap
    pairs: Sequence[int]

    def holds(self, handed_off: BitMap, returning: BitMap) -> bool:
        """Whether this is so where those of all conversations were handed off or come back."""
        return (
            self.handed_off == self.conversations & handed_off
            and self.conversations & returning <= self.returning
        )


class ConversationColumns:
    """The columns of one file, shared by all threads of a process."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: Kept[ConversationColumn] = Kept(max_bytes)

    @property
    def kept_bytes(self) -> int:
        """What the columns that are kept take, about."""
        return self._kept.bytes

    def clear(self) -> None:
        """Forget all columns."""
        self._kept.clear()

    def read(
        self,
        db: sqlite3.Connection,
        key: ColumnKey,
        version: int,
        handed_off: BitMap,
        returning: BitMap,
    ) -> ConversationColumn:
        """A column as it is in a read transaction, where its day has that version."""
        column = self._kept.find(key, version)
        if column is None or not column.holds(handed_off, returning):
            numbers, bitmaps = _read_day(db, key) if key.part is None else _read_part(db, key)
            column = _make(numbers, bitmaps, handed_off, returning)
            self._kept.keep(key, version, column, _size(column))
        return column


def _make(
    numbers: Sequence[int], bitmaps: Sequence[BitMap], handed_off: BitMap, returning: BitMap
) -> ConversationColumn:
    conversations = BitMap.union(BitMap(), *bitmaps)
    handed_off = conversations & handed_off
    returning = conversations & returning
    handoff_counts = [bitmap.intersection_cardinality(handed_off) for bitmap in bitmaps]
    pairs: list[int] = []
    if returning:
        for number, bitmap in zip(numbers, bitmaps, strict=True):
            if not bitmap.isdisjoint(returning):
                high = number << ORDINAL_BITS
                pairs.extend(high | conversation for conversation in bitmap & returning)
    return ConversationColumn(
        conversations,
        make_column(numbers, list(map(len, bitmaps))),
        handed_off,
        make_column(numbers, handoff_counts),
        returning,
        pairs,
    )


def _read_day(db: sqlite3.Connection, key: ColumnKey) -> tuple[list[int], list[BitMap]]:
    """The resources that were applied, each once, and by which conversations."""
    found: dict[int, BitMap] = {}
    ids = resource_range(key.org, key.resource_type)
    for number, packed in db.execute(_DAY, (key.day, key.kind, *ids)):
        conversations = unpack(packed)
        found[number] = found[number] | conversations if number in found else conversations
    return list(found), list(found.values())


def _read_part(db: sqlite3.Connection, key: ColumnKey) -> tuple[list[int], list[BitMap]]:
    """Of rows that lie inside as a whole the conversations are known, of others the replies ask."""
    part = key.part or Span(0, 0)
    conversation_of: dict[int, int] = dict(db.execute(_REPLIES, (key.org, *part)).fetchall())
    inside = BitMap(conversation_of)
    found: dict[int, BitMap] = {}
    ids = resource_range(key.org, key.resource_type)
    for number, packed, replies in db.execute(_PART, (key.day, key.kind, *ids, *part)):
        if replies is None:
            conversations = unpack(packed)
        else:
            conversations = BitMap(map(conversation_of.__getitem__, unpack(replies) & inside))
        if conversations:
            found[number] = found[number] | conversations if number in found else conversations
    return list(found), list(found.values())


def _size(column: ConversationColumn) -> int:
    """About how many bytes a column takes."""
    bits = sum(map(len, (column.conversations, column.handed_off, column.returning)))
    counts = size_of(column.counts) + size_of(column.handoff_counts)
    return counts + 2 * bits + 40 * len(column.pairs)


_DAY = """
SELECT resource - ?3, conversations FROM usage_day
WHERE day = ?1 AND kind = ?2 AND resource BETWEEN ?3 AND ?4
"""
_PART = """
SELECT resource - ?3, conversations, CASE WHEN first_at < ?5 OR last_at >= ?6 THEN replies END
FROM usage_day
WHERE day = ?1 AND kind = ?2 AND resource BETWEEN ?3 AND ?4 AND first_at < ?6 AND last_at >= ?5
"""
_REPLIES = """
SELECT id & 0xFFFFFFFF, conversation & 0xFFFFFFFF FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
