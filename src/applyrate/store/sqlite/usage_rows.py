"""Writing usages: each touched row is read, joined with the new bits, and written once.

Whatever a row counts follows from its bits, so a usage that is sent again finds its bit set and
changes nothing.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct, field
from pyroaring import BitMap

from applyrate.store.sqlite.rows import (
    APPLIED,
    CONVERSATION_BLOCK_BITS,
    ORDINAL_BITS,
    pack,
    unpack,
)

Call = int | str
"""What tells the invocations of an action in a reply apart: a call id, or else a place."""

RepliesOf = defaultdict[int, list[int]]
"""The replies of each resource, as ordinals."""


class NewUsages(Struct):
    """Usages of one organization, grouped by the rows they belong to.

    ``days``: by day and block, who was available and who was applied. ``calls``: the invocations
    by action and reply. ``conversation_of`` and ``replied_at`` (microseconds) know every reply.
    """

    days: defaultdict[tuple[int, int], tuple[RepliesOf, RepliesOf]] = field(
        default_factory=lambda: defaultdict(lambda: (defaultdict(list), defaultdict(list)))
    )
    calls: defaultdict[int, dict[int, frozenset[Call]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    conversation_of: dict[int, int] = field(default_factory=dict)
    replied_at: dict[int, int] = field(default_factory=dict)


class _Growth(Struct):
    """What a resource gained: usages, their times, and conversations it may have had before."""

    usage_count: int
    first_at: int
    last_at: int
    conversations: BitMap


def write_usages(db: sqlite3.Connection, org: int, usages: NewUsages) -> BitMap:
    """Write the usages that are not there yet; the replies (ordinals) that had any."""
    changed = BitMap()
    growth_of_kind: tuple[dict[int, _Growth], ...] = ({}, {})
    for (day, block), kinds in usages.days.items():
        for kind, replies_of in enumerate(kinds):
            place = (day, kind, block)
            growth = _write_day(db, org, usages, place, replies_of, changed)
            _join(growth_of_kind[kind], growth)
    for kind, growth in enumerate(growth_of_kind):
        _write_all_time(db, kind, growth)
    return changed


def _write_day(
    db: sqlite3.Connection,
    org: int,
    usages: NewUsages,
    place: tuple[int, int, int],
    replies_of: RepliesOf,
    changed: BitMap,
) -> dict[int, _Growth]:
    """Write the rows of one day, kind and block; what each resource gained by it."""
    day, kind, block = place
    stored = _read(db, _READ_DAY, replies_of, place)
    growth, rows = dict[int, _Growth](), []
    for resource, sent in sorted(replies_of.items()):
        row = stored.get(resource)
        replies = unpack(row[4]) if row else BitMap()
        new = [reply for reply in sent if reply not in replies] if row else sent
        added_count = len(new)
        if kind == APPLIED and resource in usages.calls:
            more = _write_calls(db, org, resource, usages.calls[resource], sent, replies)
            added_count += sum(more.values())
            changed.update(more)
        if not added_count:
            continue
        changed.update(new)
        replies.update(new)
        conversations = BitMap([usages.conversation_of[reply] for reply in new])
        times = [usages.replied_at[reply] for reply in new]
        if row:
            times += row[1:3]
        gained = _Growth(added_count, min(times), max(times), conversations)
        growth[resource] = gained
        rows.append(
            (
                *(day, kind, resource, block),
                added_count + (row[0] if row else 0),
                gained.first_at,
                gained.last_at,
                pack(unpack(row[3]) | conversations if row else conversations),
                pack(replies),
            )
        )
    db.executemany(_WRITE_DAY, rows)
    return growth


def _write_calls(
    db: sqlite3.Connection,
    org: int,
    action: int,
    calls_of: Mapping[int, frozenset[Call]],
    sent: Iterable[int],
    replies: BitMap,
) -> dict[int, int]:
    """Write the invocations that a bit alone does not tell; how many each reply gained of them."""
    gained = {}
    for reply in sent:
        calls, known = calls_of[reply], reply in replies
        if calls == _PLAIN and not known:
            continue
        key = (action, org << ORDINAL_BITS | reply)
        before = {call for (call,) in db.execute(_READ_CALLS, key)} or _PLAIN if known else set()
        after = calls | before
        if after not in (before, _PLAIN):
            db.executemany(_WRITE_CALL, [(*key, call) for call in after])
        if more := len(after) - max(len(before), 1):
            gained[reply] = more
    return gained


_PLAIN: frozenset[Call] = frozenset({0})
"""One invocation without a call id: the bit alone stands for it."""


def _join(growth: dict[int, _Growth], other: Mapping[int, _Growth]) -> None:
    for resource, more in other.items():
        had = growth.setdefault(resource, more)
        if had is not more:
            had.usage_count += more.usage_count
            had.first_at = min(had.first_at, more.first_at)
            had.last_at = max(had.last_at, more.last_at)
            had.conversations |= more.conversations


def _write_all_time(db: sqlite3.Connection, kind: int, growth: Mapping[int, _Growth]) -> None:
    """Write the conversations of all time, and the sums."""
    conversations_of: defaultdict[int, dict[int, BitMap]] = defaultdict(dict)
    for resource, gained in growth.items():
        for block, conversations in _cut(gained.conversations):
            conversations_of[block][resource] = conversations
    conversation_count = dict.fromkeys(growth, 0)
    for block, sent in conversations_of.items():
        stored = _read(db, _READ_BLOCK, sent, (block, kind))
        rows = []
        for resource, new in sorted(sent.items()):
            before = unpack(stored[resource][0]) if resource in stored else BitMap()
            after = before | new
            if more := len(after) - len(before):
                conversation_count[resource] += more
                rows.append((block, kind, resource, pack(after)))
        db.executemany(_WRITE_BLOCK, rows)
    db.executemany(
        _WRITE_TOTAL,
        [
            (
                *(kind, resource, conversation_count[resource]),
                *(gained.usage_count, gained.first_at, gained.last_at),
            )
            for resource, gained in sorted(growth.items())
        ],
    )


def _cut(conversations: BitMap) -> Iterator[tuple[int, BitMap]]:
    """A bitmap by blocks of conversation ordinals."""
    for block, ordinals in groupby(conversations, lambda at: at >> CONVERSATION_BLOCK_BITS):
        yield block, BitMap(list(ordinals))


def _read(
    db: sqlite3.Connection, query: str, resources: Iterable[int], place: tuple[int, ...]
) -> dict[int, tuple[Any, ...]]:
    """The stored rows of those resources, in one statement."""
    wanted = msgspec.json.encode(sorted(resources)).decode()
    return {row[0]: row[1:] for row in db.execute(query, (wanted, *place))}


_READ_DAY = """
SELECT resource, usage_count, first_at, last_at, conversations, replies
FROM json_each(?1) AS wanted CROSS JOIN usage_day
WHERE day = ?2 AND kind = ?3 AND resource = wanted.value AND block = ?4
"""
_WRITE_DAY = """
REPLACE INTO usage_day
    (day, kind, resource, block, usage_count, first_at, last_at, conversations, replies)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_READ_CALLS = "SELECT call FROM invocation WHERE resource = ? AND reply = ?"
_WRITE_CALL = "INSERT OR IGNORE INTO invocation (resource, reply, call) VALUES (?, ?, ?)"
_READ_BLOCK = """
SELECT resource, conversations FROM json_each(?1) AS wanted CROSS JOIN usage_block
WHERE block = ?2 AND kind = ?3 AND resource = wanted.value
"""
_WRITE_BLOCK = "REPLACE INTO usage_block (block, kind, resource, conversations) VALUES (?, ?, ?, ?)"
_WRITE_TOTAL = """
INSERT INTO usage_total (kind, resource, conversation_count, usage_count, first_at, last_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    conversation_count = conversation_count + excluded.conversation_count,
    usage_count = usage_count + excluded.usage_count,
    first_at = min(first_at, excluded.first_at),
    last_at = max(last_at, excluded.last_at)
"""
