"""How conversations ended: a bitmap for each status and each satisfaction score.

With them, what became of any set of conversations is counted by intersection.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import UNSET
from pyroaring import BitMap

from applyrate.store.sqlite.packing import pack, unpack
from applyrate.store.sqlite.rows import BLOCK_BITS, ORDINAL_MASK
from applyrate.usage import ConversationFacts

RESOLVED = "resolved"


class Outcome(NamedTuple):
    """One way to end: a status (case does not matter) or a score."""

    fact: Literal["status", "csat"]
    value: str | float


def outcomes_of(status: str | None, csat: float | None) -> Iterator[Outcome]:
    """How a conversation with these facts ended."""
    if status is not None:
        yield Outcome("status", status.casefold())
    if csat is not None:
        yield Outcome("csat", float(csat))


def read_outcomes(db: sqlite3.Connection, org: int) -> Iterator[tuple[Outcome, BitMap]]:
    """The conversations (ordinals) by how they ended, in parts."""
    for fact, value, packed in db.execute(_READ, (org,)):
        yield Outcome(fact, value), unpack(packed)


class OutcomeChanges:
    """Conversations of an organization that came to an outcome or left one."""

    def __init__(self, db: sqlite3.Connection, org: int) -> None:
        self._db = db
        self._org = org
        self._came: defaultdict[tuple[Outcome, int], BitMap] = defaultdict(BitMap)
        self._left: defaultdict[tuple[Outcome, int], BitMap] = defaultdict(BitMap)

    def note(self, conversation: int, facts: ConversationFacts) -> None:
        """Note what will become of a conversation with facts that are not yet written."""
        if facts.status is UNSET and facts.csat is UNSET:
            return
        status, csat = self._db.execute(_KNOWN, (conversation,)).fetchone()
        before = set(outcomes_of(status, csat))
        after = set(
            outcomes_of(
                status if facts.status is UNSET else facts.status,
                csat if facts.csat is UNSET else facts.csat,
            )
        )
        ordinal = conversation & ORDINAL_MASK
        for changed, outcomes in ((self._left, before - after), (self._came, after - before)):
            for outcome in outcomes:
                changed[outcome, ordinal >> BLOCK_BITS].add(ordinal)

    def write(self) -> None:
        """Write the rows that change."""
        for outcome, block in self._came.keys() | self._left.keys():
            place = (self._org, *outcome, block)
            row = self._db.execute(_READ_BLOCK, place).fetchone()
            conversations = unpack(row[0]) if row else BitMap()
            conversations -= self._left[outcome, block]
            conversations |= self._came[outcome, block]
            if conversations:
                self._db.execute(_WRITE, (*place, pack(conversations)))
            else:
                self._db.execute(_DELETE, place)


_KNOWN = "SELECT status, csat FROM conversation WHERE id = ?"
_READ = "SELECT fact, value, conversations FROM outcome WHERE org = ?"
_READ_BLOCK = """
SELECT conversations FROM outcome WHERE org = ? AND fact = ? AND value = ? AND block = ?
"""
_WRITE = "REPLACE INTO outcome (org, fact, value, block, conversations) VALUES (?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM outcome WHERE org = ? AND fact = ? AND value = ? AND block = ?"
