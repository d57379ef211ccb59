"""Checking: every stored row against the rows it follows from; each fault is a sentence.

Replies and invocations are what is believed: every bitmap must hold replies and conversations that
are there, on their day and in their block, and every count, time and sum must be what they give.
"""

import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyroaring import BitMap

from applyrate.store.sqlite.checking_days import TypeUsages, conversation_day_faults
from applyrate.store.sqlite.checking_erasures import erasure_faults
from applyrate.store.sqlite.checking_names import name_faults
from applyrate.store.sqlite.faults import differ, differ_sets, show_date
from applyrate.store.sqlite.outcome_rows import Outcome, outcomes_of
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import (
    APPLIED,
    BLOCK_BITS,
    DAY,
    KIND_CODE,
    ORDINAL_BITS,
    ORDINAL_MASK,
    ordinal_range,
)

_MISSING = -(2**63)  # no time there is: -1 is the last microsecond before 1970
_KIND_NAME = {code: kind for kind, code in KIND_CODE.items()}


def check(db: sqlite3.Connection) -> Iterator[str]:
    """Verify the whole file, inside the caller's read transaction."""
    if faults := file_faults(db):
        yield from faults
        return
    yield from (sentence for query in _ORPHANS for (sentence,) in db.execute(query))
    yield from name_faults(db)
    yield from erasure_faults(db)
    yield from _Check(db).faults()


def file_faults(db: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong with a file; with any, its rows need not be looked at."""
    try:
        faults = [fault for (fault,) in db.execute("PRAGMA integrity_check") if fault != "ok"]
    except sqlite3.DatabaseError as error:  # too damaged to be examined
        faults = [str(error)]
    return [f"the file is damaged: {fault}" for fault in faults]


class _Replies(NamedTuple):
    """The replies of an organization: conversation and time by ordinal, _MISSING where none is."""

    conversations: "array[int]"
    replied_at: "array[int]"

    @classmethod
    def of(cls, db: sqlite3.Connection, org: int) -> "_Replies":
        first, last = ordinal_range(org)
        (top,) = db.execute(
            "SELECT ifnull(max(id) + 1, ?1) FROM reply WHERE id BETWEEN ?1 AND ?2", (first, last)
        ).fetchone()
        size = top - first
        replies = cls(array("q", [_MISSING]) * size, array("q", [_MISSING]) * size)
        for key, conversation, at in db.execute(_REPLIES, (first, last)):
            replies.conversations[key - first] = conversation & ORDINAL_MASK
            replies.replied_at[key - first] = at
        return replies


class _Total:
    """What the days of a resource and kind add up to."""

    def __init__(self) -> None:
        self.conversations = BitMap()
        self.usage_count = 0
        self.first_at = 2**62
        self.last_at = -(2**62)


class _Check:
    """One pass over the rows of all organizations."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        orgs = [org for (org,) in db.execute("SELECT id FROM organization")]
        self._replies = {org: _Replies.of(db, org) for org in orgs}
        self._names: dict[int, str] = {
            key: f"{resource_type} {name!r} of {org!r}"
            for key, org, resource_type, name in db.execute(_RESOURCES)
        }
        self._totals: defaultdict[tuple[int, int], _Total] = defaultdict(_Total)
        self._of_types = TypeUsages()

    def faults(self) -> Iterator[str]:
        more_calls = self._more_calls()
        for row in self._db.execute(_DAYS):
            day, kind, resource, block = row[:4]
            place = f"{show_date(day)}, {self._name(kind, resource)}, block {block}"
            try:
                faults = self._day_faults(
                    *row,
                    more_calls=more_calls.pop((day, resource, block), 0) if kind == APPLIED else 0,
                )
            except (KeyError, ValueError) as error:
                faults = [f"cannot be read: {error}"]
            yield from (f"usage_day ({place}): {fault}" for fault in faults)
        for day, resource, block in more_calls:
            place = f"{show_date(day)}, {self._name(APPLIED, resource)}, block {block}"
            yield f"invocation ({place}): there are calls, but no usage"
        yield from self._total_faults()
        yield from self._of_types.faults(self._db)
        for org, replies in self._replies.items():
            yield from conversation_day_faults(self._db, org, *replies)
        yield from self._handed_off_faults()
        yield from self._outcome_faults()

    def _name(self, kind: int, resource: int) -> str:
        name = self._names.get(resource, f"unknown resource {resource}")
        return f"{_KIND_NAME.get(kind, kind)} {name}"

    def _more_calls(self) -> Counter[tuple[int, int, int]]:
        """The invocations beyond one a reply, by the row that counts them."""
        more: Counter[tuple[int, int, int]] = Counter()
        for resource, reply, at, calls in self._db.execute(_CALLS):
            more[at // DAY, resource, (reply & ORDINAL_MASK) >> BLOCK_BITS] += calls - 1
            self._of_types.add(resource, APPLIED, [at] * (calls - 1))
        return more

    def _day_faults(
        self,
        day: int,
        kind: int,
        resource: int,
        block: int,
        usage_count: int,
        first_at: int,
        last_at: int,
        packed_conversations: bytes,
        packed_replies: bytes,
        *,
        more_calls: int,
    ) -> list[str]:
        known = self._replies[resource >> ORDINAL_BITS]
        replies, conversations = unpack(packed_replies), unpack(packed_conversations)
        total = self._totals[kind, resource]
        total.usage_count += usage_count
        total.conversations |= conversations
        total.first_at, total.last_at = min(total.first_at, first_at), max(total.last_at, last_at)
        if not replies:
            return ["it holds no reply"]
        if replies.max() >= len(known.replied_at):
            return [f"reply ordinal {replies.max()} is not there"]
        times = [known.replied_at[reply] for reply in replies]
        if _MISSING in times:
            return [f"reply ordinal {list(replies)[times.index(_MISSING)]} is not there"]
        self._of_types.add(resource, kind, times)
        given = BitMap([known.conversations[reply] for reply in replies])
        return [
            *differ("usage_count", usage_count, len(replies) + more_calls),
            *differ("first_at", first_at, min(times)),
            *differ("last_at", last_at, max(times)),
            *differ("day of its first reply", day, min(times) // DAY),
            *differ("day of its last reply", day, max(times) // DAY),
            *differ("block of its first reply", block, replies.min() >> BLOCK_BITS),
            *differ("block of its last reply", block, replies.max() >> BLOCK_BITS),
            *differ_sets("conversations", conversations, given),
        ]

    def _total_faults(self) -> Iterator[str]:
        stored: dict[tuple[int, int], tuple[Any, ...]] = {
            (kind, resource): sums for kind, resource, *sums in self._db.execute(_TOTALS)
        }
        handoffs = self._handed_off()
        nothing = (0, 0, 0, 2**62, -(2**62))
        for kind, resource in stored.keys() | self._totals.keys():
            total = self._totals[kind, resource]
            given = (
                len(total.conversations),
                len(total.conversations & handoffs[resource >> ORDINAL_BITS])
                if kind == APPLIED
                else 0,
                *(total.usage_count, total.first_at, total.last_at),
            )
            for name, has, is_given in zip(
                ("conversation_count", "handoff_count", "usage_count", "first_at", "last_at"),
                stored.get((kind, resource), nothing),
                given,
                strict=True,
            ):
                for fault in differ(name, has, is_given):
                    yield f"usage_total ({self._name(kind, resource)}): {fault}"

    def _handed_off_faults(self) -> Iterator[str]:
        stored: defaultdict[int, BitMap] = defaultdict(BitMap)
        given = self._handed_off()
        for org, block, packed in self._db.execute("SELECT * FROM handed_off"):
            try:
                stored[org] |= unpack(packed)
            except ValueError as error:
                yield f"handed_off ({org}, {block}): cannot be read: {error}"
        for org in stored.keys() | given.keys():
            for fault in differ_sets("conversations", stored[org], given[org]):
                yield f"handed_off ({org}): {fault}"

    def _outcome_faults(self) -> Iterator[str]:
        given: defaultdict[tuple[int, Outcome, int], BitMap] = defaultdict(BitMap)
        for key, status, csat in self._db.execute(_ENDED):
            org, ordinal = key >> ORDINAL_BITS, key & ORDINAL_MASK
            for outcome in outcomes_of(status, csat):
                given[org, outcome, ordinal >> BLOCK_BITS].add(ordinal)
        for org, fact, value, block, packed in self._db.execute("SELECT * FROM outcome"):
            place = f"outcome ({org}, {fact} {value!r}, block {block})"
            try:
                stored = unpack(packed)
            except ValueError as error:
                yield f"{place}: cannot be read: {error}"
                continue
            for fault in differ_sets(
                "conversations", stored, given.pop((org, Outcome(fact, value), block), BitMap())
            ):
                yield f"{place}: {fault}"
        for org, (fact, value), block in given:
            yield f"outcome ({org}, {fact} {value!r}, block {block}): it is not there"

    def _handed_off(self) -> defaultdict[int, BitMap]:
        """By organization the conversations that were handed off, as their rows say."""
        given: defaultdict[int, BitMap] = defaultdict(BitMap)
        for (key,) in self._db.execute(_HANDED_OFF):
            given[key >> ORDINAL_BITS].add(key & ORDINAL_MASK)
        return given


_ORPHANS = (
    """
    SELECT 'reply ' || reply.reply_id || ': its conversation is not there' FROM reply
    LEFT JOIN conversation ON conversation.id = reply.conversation AND conversation.org = reply.org
    WHERE conversation.id IS NULL
    """,
    """
    SELECT 'reply ' || reply_id || ': its id is of another organization' FROM reply
    WHERE id >> 32 <> org
    """,
    """
    SELECT 'conversation ' || session_id || ': its id is of another organization' FROM conversation
    WHERE id >> 32 <> org
    """,
    """
    SELECT 'invocation: reply ' || (invocation.reply & 0xFFFFFFFF) || ' is not there'
    FROM invocation LEFT JOIN reply ON reply.id = invocation.reply WHERE reply.id IS NULL
    """,
    """
    SELECT 'usage_total: its version ' || version || ' is not one of the ' || number || ' so far'
    FROM usage_total JOIN usage_version WHERE version NOT BETWEEN 1 AND number
    """,
    """
    SELECT 'type_day: its version ' || version || ' is not one of the ' || number || ' so far'
    FROM type_day JOIN usage_version WHERE version NOT BETWEEN 1 AND number
    """,
    """
    SELECT 'published_version ' || published_version.version || ': its resource is not there'
    FROM published_version LEFT JOIN resource ON resource.id = resource WHERE resource.id IS NULL
    """,
    """
    SELECT 'resource ' || resource_id || ': what the catalogue says of it was never set'
    FROM resource WHERE NOT catalogued
    AND (keep OR coalesce(catalogue_name, version, url, published_at) IS NOT NULL)
    """,
    """
    SELECT 'conversation ' || session_id || ': its handoff was never set' FROM conversation
    WHERE handed_off_at IS NOT NULL AND NOT handoff_is_set
    """,
    """
    SELECT 'cursor_secret: there are ' || count(*) || ' of 32 bytes, and not one'
    FROM cursor_secret WHERE length(secret) = 32 HAVING count(*) <> 1
    """,
    """
    SELECT 'reportable: there is no type ' || type || ' of organization ' || reportable.org
    FROM reportable LEFT JOIN organization ON organization.id = reportable.org
    WHERE organization.id IS NULL OR type NOT IN ('action', 'instruction', 'knowledge')
    """,
)
_REPLIES = "SELECT id, conversation, replied_at FROM reply WHERE id BETWEEN ? AND ?"
_RESOURCES = """
SELECT resource.id, organization.name, type, resource_id
FROM resource JOIN organization ON organization.id = resource.org
"""
_DAYS = """
SELECT day, kind, resource, block, usage_count, first_at, last_at, conversations, replies
FROM usage_day
"""
_CALLS = """
SELECT resource, reply, replied_at, count(*)
FROM invocation JOIN reply ON reply.id = invocation.reply
GROUP BY resource, reply
"""
_TOTALS = """
SELECT kind, resource, conversation_count, handoff_count, usage_count, first_at, last_at
FROM usage_total
"""
_ENDED = "SELECT id, status, csat FROM conversation WHERE coalesce(status, csat) IS NOT NULL"
_HANDED_OFF = """
SELECT id FROM conversation
WHERE iif(handoff_is_set, handed_off_at, reply_handed_off_at) IS NOT NULL
"""
