"""What conversations keep when some of their replies go: where each of them still counts.

Most conversations are short: whatever replies one keeps are read, and with them it is known in
which rows it stays. One with more is asked about row by row instead, so that a step of removing
takes as long in a conversation of a million replies as in any other.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import to_numbers
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.places import Place, place_of
from applyrate.store.sqlite.rows import BLOCK_BITS, DAY, ORDINAL_BITS


class Remaining:
    """What some conversations (ordinals) of an organization have left, their replies being gone.

    ``bare`` are those that have nothing left.
    """

    def __init__(self, db: sqlite3.Connection, org: int, conversations: Iterable[int]) -> None:
        self._db = db
        self._org = org
        self._long = BitMap()
        self._conversation_of: dict[int, int] = {}
        self._of_place: defaultdict[Place, BitMap] = defaultdict(BitMap)
        self._of_day: defaultdict[int, BitMap] = defaultdict(BitMap)
        self._long_in_block: dict[tuple[int, int, int], BitMap] = {}
        self.bare = BitMap()
        for conversation in conversations:
            self._read(conversation)
        self._replies = BitMap(list(self._conversation_of))

    def in_row(self, place: Place, kept: BitMap, conversations: BitMap) -> BitMap:
        """Those of the conversations that have one of the replies which a row of a place keeps."""
        there = BitMap([self._conversation_of[reply] for reply in kept & self._replies])
        for conversation in conversations & self._long:
            if self._keeps(kept, conversation, place.block):
                there.add(conversation)
        return there & conversations

    def on_day(self, day: int, last_at: Mapping[int, int]) -> BitMap:
        """Those of the conversations that have a reply on a day.

        Each comes with the time of the last reply that went: near it are those that stay, if any.
        """
        there = self._of_day[day] & BitMap(list(last_at))
        for conversation in self._long & BitMap(list(last_at)):
            at = last_at[conversation]
            for start, end in ((at, (day + 1) * DAY), (day * DAY, at)):
                if self._db.execute(_BETWEEN, (self._org, start, end, conversation)).fetchone():
                    there.add(conversation)
                    break
        return there

    def elsewhere(
        self, lost: Mapping[tuple[int, int], BitMap]
    ) -> Iterator[tuple[tuple[int, int], BitMap]]:
        """Of the conversations that resources lost in some rows, those they have in another one.

        By kind and resource, which may come repeatedly.
        """
        for place, conversations in self._of_place.items():
            asked: defaultdict[int, list[int]] = defaultdict(list)
            for (kind, resource), those in lost.items():
                if those.intersect(conversations):
                    asked[kind].append(resource)
            for kind, resources in asked.items():
                query = (_wanted(resources), place.day, kind, place.block)
                for resource, packed in self._db.execute(_IN_BLOCK, query):
                    yield (kind, resource), unpack(packed)
        for conversation in self._long:
            yield from self._elsewhere(
                conversation, {key for key, those in lost.items() if conversation in those}
            )

    def _elsewhere(
        self, conversation: int, asked: set[tuple[int, int]]
    ) -> Iterator[tuple[tuple[int, int], BitMap]]:
        """Look for one conversation day by day, until it was found for each kind and resource."""
        block = conversation >> BLOCK_BITS
        days = self._db.execute(_DAYS, (self._org, block)) if asked else ()
        for day, packed in days:
            if conversation not in unpack(packed):
                continue
            for kind in {kind for kind, _ in asked}:
                wanted = _wanted(resource for one, resource in asked if one == kind)
                for resource, conversations in self._db.execute(_ON_DAY, (wanted, day, kind)):
                    if (kind, resource) in asked and conversation in unpack(conversations):
                        asked.remove((kind, resource))
                        yield (kind, resource), BitMap([conversation])
            if not asked:
                return

    def _read(self, conversation: int) -> None:
        key = self._org << ORDINAL_BITS | conversation
        replies: Sequence[tuple[int, int]] = self._db.execute(_REPLIES, (key, _MANY)).fetchall()
        if not replies:
            self.bare.add(conversation)
        elif len(replies) == _MANY:
            self._long.add(conversation)
        else:
            for reply, replied_at in replies:
                place = place_of(reply, replied_at)
                self._conversation_of[reply] = conversation
                self._of_place[place].add(conversation)
                self._of_day[place.day].add(conversation)

    def _keeps(self, kept: BitMap, conversation: int, block: int) -> bool:
        """Whether a row of a block keeps a reply of a long conversation.

        Its first replies in the block nearly always tell; of a row that keeps few, each is asked.
        """
        if kept.intersect(self._in_block(conversation, block, _SOME)):
            return True
        if len(kept) <= _SOME:
            org = self._org << ORDINAL_BITS
            found = self._db.execute(_ANY_OF, (_wanted(kept), org, org | conversation))
            return found.fetchone() is not None
        return bool(kept.intersect(self._in_block(conversation, block, -1)))

    def _in_block(self, conversation: int, block: int, limit: int) -> BitMap:
        """The first replies of a conversation in a block, of whatever day; -1: all of them."""
        key = conversation, block, limit
        known = self._long_in_block.get(key)
        if known is None:
            org, first = self._org << ORDINAL_BITS, block << BLOCK_BITS
            last = first + (1 << BLOCK_BITS) - 1
            query = (org | conversation, org | first, org | last, limit)
            (text,) = self._db.execute(_OF_BLOCK, query).fetchone()
            known = self._long_in_block[key] = BitMap(to_numbers(text))
        return known


def _wanted(numbers: Iterable[int]) -> str:
    return msgspec.json.encode(sorted(numbers)).decode()


_MANY = 65
"""A conversation that keeps so many replies is a long one."""

_SOME = 500

_REPLIES = "SELECT id & 0xFFFFFFFF, replied_at FROM reply WHERE conversation = ? LIMIT ?"
_OF_BLOCK = """
SELECT group_concat(id & 0xFFFFFFFF) FROM (
    SELECT id FROM reply WHERE conversation = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?
)
"""
_ANY_OF = """
SELECT 1 FROM json_each(?1) AS wanted CROSS JOIN reply
WHERE reply.id = ?2 | wanted.value AND conversation = ?3 LIMIT 1
"""
_BETWEEN = """
SELECT 1 FROM reply INDEXED BY reply_time
WHERE org = ?1 AND replied_at >= ?2 AND replied_at < ?3 AND conversation = (?1 << 32 | ?4) LIMIT 1
"""
_IN_BLOCK = """
SELECT resource, conversations FROM json_each(?1) AS wanted CROSS JOIN usage_day
WHERE day = ?2 AND kind = ?3 AND resource = wanted.value AND block = ?4
"""
_DAYS = "SELECT day, conversations FROM conversation_day WHERE org = ? AND block = ? ORDER BY day"
_ON_DAY = """
SELECT resource, conversations FROM json_each(?1) AS wanted CROSS JOIN usage_day
WHERE day = ?2 AND kind = ?3 AND resource = wanted.value
"""
