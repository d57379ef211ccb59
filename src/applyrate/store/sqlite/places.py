"""Places: which rows of a day hold a reply."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.rows import BLOCK_BITS, DAY, ORDINAL_BITS


class Place(NamedTuple):
    """A UTC day, and a block of reply ordinals within it."""

    day: int
    block: int


def place_of(reply: int, replied_at: int) -> Place:
    """The place of a reply, by its ordinal and its time in microseconds."""
    return Place(replied_at // DAY, reply >> BLOCK_BITS)


def places_of(
    db: sqlite3.Connection, org: int, conversations: Iterable[int]
) -> dict[Place, BitMap]:
    """Where an organization's conversations (ordinals) have replies, and which of them."""
    places: defaultdict[Place, BitMap] = defaultdict(BitMap)
    wanted = msgspec.json.encode(list(conversations)).decode()
    for conversation, reply, replied_at in db.execute(_REPLIES, (wanted, org << ORDINAL_BITS)):
        places[place_of(reply, replied_at)].add(conversation)
    return places


_REPLIES = """
SELECT conversation & 0xFFFFFFFF, reply.id & 0xFFFFFFFF, replied_at
FROM json_each(?1) AS wanted CROSS JOIN reply WHERE conversation = ?2 | wanted.value
"""
