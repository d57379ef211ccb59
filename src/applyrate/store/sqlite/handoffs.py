"""Handoffs: which conversations were handed to a person, as bitmaps, and what counts them.

``usage_total`` counts them for each applied resource of all time, so a conversation that is handed
off, or no longer, is looked up in the rows of its replies' days.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.packing import pack, unpack
from applyrate.store.sqlite.places import places_of
from applyrate.store.sqlite.rows import APPLIED, BLOCK_BITS, ordinal_range


def handed_off(
    db: sqlite3.Connection, org: int, conversations: Iterable[int] | None = None
) -> BitMap:
    """The conversations that were handed off: all, or of the blocks that some are in."""
    if conversations is None:
        rows = db.execute(_READ_ALL, (org,))
    else:
        blocks = {conversation >> BLOCK_BITS for conversation in conversations}
        rows = db.execute(_READ, (org, msgspec.json.encode(blocks).decode()))
    return BitMap.union(BitMap(), *(unpack(packed) for (packed,) in rows))


def change_handoffs(db: sqlite3.Connection, org: int, *, began: BitMap, ended: BitMap) -> None:
    """Note that conversations were handed off, or that they were not after all."""
    for changed, sign in ((began, 1), (ended, -1)):
        counts = _conversations_of(db, org, changed)
        db.executemany(
            _COUNT,
            [(sign * len(conversations), resource) for resource, conversations in counts.items()],
        )
    for block in {conversation >> BLOCK_BITS for conversation in began | ended}:
        row = db.execute(_READ_BLOCK, (org, block)).fetchone()
        of_block = BitMap(range(block << BLOCK_BITS, (block + 1) << BLOCK_BITS))
        marked = (unpack(row[0]) if row else BitMap()) - ended | began & of_block
        db.execute(_WRITE, (org, block, pack(marked)))


def _conversations_of(db: sqlite3.Connection, org: int, conversations: BitMap) -> dict[int, BitMap]:
    """By resource, which of the conversations applied it."""
    found: defaultdict[int, BitMap] = defaultdict(BitMap)
    of_org = ordinal_range(org)
    for place, wanted in places_of(db, org, conversations).items():
        for resource, packed in db.execute(_APPLIED, (place.day, APPLIED, *of_org, place.block)):
            if together := unpack(packed) & wanted:
                found[resource] |= together
    return found


_READ_ALL = "SELECT conversations FROM handed_off WHERE org = ?"
_READ = """
SELECT conversations FROM json_each(?2) AS wanted CROSS JOIN handed_off
WHERE org = ?1 AND block = wanted.value
"""
_READ_BLOCK = "SELECT conversations FROM handed_off WHERE org = ? AND block = ?"
_WRITE = "REPLACE INTO handed_off (org, block, conversations) VALUES (?, ?, ?)"
_APPLIED = """
SELECT resource, conversations FROM usage_day
WHERE day = ? AND kind = ? AND resource BETWEEN ? AND ? AND block = ?
"""
_COUNT = """
UPDATE usage_total SET handoff_count = handoff_count + ? WHERE kind = 1 AND resource = ?
"""
