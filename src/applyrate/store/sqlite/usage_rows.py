"""Writing usages: each touched row is read, joined with the new bits, and written once.

Whatever a row counts follows from its bits, so a usage that is sent again finds its bit set and
changes nothing. The sums of all time grow by what the days gained; a conversation counts once for a
resource, so one with replies on several days is looked for on each of them.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field
from pyroaring import BitMap

from applyrate.store.sqlite.days import Days
from applyrate.store.sqlite.handoffs import handed_off
from applyrate.store.sqlite.packing import pack, unpack
from applyrate.store.sqlite.places import Place, place_of, places_of
from applyrate.store.sqlite.rows import APPLIED, ORDINAL_BITS
from applyrate.store.sqlite.type_days import TypeDays, type_of

Call = int | str
"""What tells the invocations of an action in a reply apart: a call id, or else a place."""

RepliesOf = dict[int, list[int]]
"""The replies of each resource, as ordinals in the order of their times; one may come twice."""


class NewUsages(Struct):
    """Usages of one organization, grouped by the rows they belong to.

    ``days``: by place, who was available and who was applied. ``calls``: the invocations by action
    and reply. ``conversation_of`` and ``replied_at`` (microseconds) know every reply;
    ``known_replies`` and ``known_conversations`` are those that were there before.
    """

    days: defaultdict[Place, tuple[RepliesOf, RepliesOf]] = field(
        default_factory=lambda: defaultdict(lambda: ({}, {}))
    )
    calls: dict[int, dict[int, frozenset[Call]]] = {}
    conversation_of: dict[int, int] = field(default_factory=dict)
    replied_at: dict[int, int] = field(default_factory=dict)
    known_replies: BitMap = field(default_factory=BitMap)
    known_conversations: BitMap = field(default_factory=BitMap)


class _Growth(Struct, gc=False):  # many are made, and none is part of a circle
    """What a resource gained: usages, their times, and conversations that are new to the row."""

    usage_count: int
    first_at: int
    last_at: int
    conversations: BitMap

    def join(self, other: "_Growth") -> None:
        self.usage_count += other.usage_count
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.conversations |= other.conversations


class _Day(NamedTuple):
    """The rows of one place and kind as they shall be, what resources gained, and who gained it.

    ``changed``: the replies that were known before and gained anything, with others among them.
    ``gained``: the reply of each new usage, by the type of the resource (see ``type_of``).
    """

    rows: list[tuple[Any, ...]]
    growth: dict[int, _Growth]
    changed: BitMap
    gained: defaultdict[int, list[int]]


def write_usages(db: sqlite3.Connection, days: Days, org: int, usages: NewUsages) -> BitMap:
    """Write the usages that are not there yet; the replies (ordinals) that had any."""
    changed, rows = BitMap(), list[tuple[Any, ...]]()
    growth_of_kind: tuple[dict[int, _Growth], ...] = ({}, {})
    type_days = TypeDays()
    for place, kinds in usages.days.items():
        for kind, replies_of in enumerate(kinds):
            day = _join_day(db, org, usages, place, kind, replies_of)
            rows += day.rows
            days.forget(place.day, [resource for _, _, resource, *_ in day.rows])
            for resource_type, replies in day.gained.items():
                type_days.add(resource_type, kind, place.day, replies)
            changed |= day.changed
            _join(growth_of_kind[kind], day.growth)
    # Before the rows are written, since it reads them as they were.
    for place, conversations in _moved(db, org, usages).items():
        for kind, growth in enumerate(growth_of_kind):
            _forget_known(db, place, kind, conversations, growth)
    db.executemany(_WRITE_DAY, rows)
    _write_totals(db, org, usages, growth_of_kind, days.version)
    type_days.write(db, usages.replied_at, days.version)
    return changed


def _join_day(
    db: sqlite3.Connection,
    org: int,
    usages: NewUsages,
    place: Place,
    kind: int,
    replies_of: RepliesOf,
) -> _Day:
    """Join the stored rows of a place and kind with the usages that are new to them."""
    stored = _read(db, _READ_DAY, replies_of, (place.day, kind, place.block))
    conversation_of, replied_at = usages.conversation_of, usages.replied_at
    joined = _Day([], {}, BitMap(), defaultdict(list))
    for resource, sent in sorted(replies_of.items()):
        row = stored.get(resource)
        replies = unpack(row[5]) if row else BitMap()
        new = [reply for reply in sent if reply not in replies] if usages.known_replies else sent
        more = {}
        if kind == APPLIED and resource in usages.calls:
            more = _write_calls(db, org, resource, usages.calls[resource], sent, replies)
        known_count = len(replies)
        replies.update(new)
        if len(replies) - known_count < len(new):
            new = list(dict.fromkeys(new))
        gained = new
        if more:
            gained = [*new, *(reply for reply, count in more.items() for _ in range(count))]
            joined.changed.update(more)
        if not gained:
            continue
        added_count = len(gained)
        joined.gained[type_of(resource)] += gained
        if usages.known_replies:
            joined.changed.update(new)
        conversations = BitMap([conversation_of[reply] for reply in new])
        some = new or gained  # further invocations alone lie within the times of the row
        first_at, last_at = replied_at[some[0]], replied_at[some[-1]]
        usage_count, all_conversations = added_count, conversations
        if row:
            usage_count += row[1]
            first_at, last_at = min(first_at, row[2]), max(last_at, row[3])
            all_conversations = unpack(row[4])
            conversations = conversations - all_conversations
            all_conversations |= conversations
        joined.growth[resource] = _Growth(added_count, first_at, last_at, conversations)
        joined.rows.append(
            (
                *(place.day, kind, resource, place.block, usage_count, first_at, last_at),
                *(pack(all_conversations), pack(replies)),
            )
        )
    return joined


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
        if resource in growth:
            growth[resource].join(more)
        else:
            growth[resource] = more


def _moved(db: sqlite3.Connection, org: int, usages: NewUsages) -> dict[Place, BitMap]:
    """The conversations that have stored replies at a place, and new usages at another."""
    known = usages.known_conversations
    new_places: defaultdict[int, set[Place]] = defaultdict(set)
    for reply, conversation in usages.conversation_of.items():
        if conversation in known:
            new_places[conversation].add(place_of(reply, usages.replied_at[reply]))
    moved: defaultdict[Place, BitMap] = defaultdict(BitMap)
    for place, conversations in places_of(db, org, new_places).items():
        moved[place].update(c for c in conversations if new_places[c] != {place})
    return moved


def _forget_known(
    db: sqlite3.Connection,
    place: Place,
    kind: int,
    moved: BitMap,
    growth: Mapping[int, _Growth],
) -> None:
    """Take out of the growth the conversations that used the resource at that place before."""
    asked = [resource for resource, gained in growth.items() if gained.conversations & moved]
    query = (place.day, kind, place.block)
    for resource, conversations in _read(db, _READ_CONVERSATIONS, asked, query).values():
        growth[resource].conversations -= unpack(conversations)


def _write_totals(
    db: sqlite3.Connection,
    org: int,
    usages: NewUsages,
    growth_of_kind: Iterable[Mapping[int, _Growth]],
    version: int,
) -> None:
    handoffs = handed_off(db, org, usages.conversation_of.values())
    db.executemany(
        _WRITE_TOTAL,
        [
            (
                *(kind, resource, len(gained.conversations)),
                gained.conversations.intersection_cardinality(handoffs) if kind == APPLIED else 0,
                *(gained.usage_count, gained.first_at, gained.last_at, version),
            )
            for kind, growth in enumerate(growth_of_kind)
            for resource, gained in sorted(growth.items())
        ],
    )


def _read(
    db: sqlite3.Connection, query: str, resources: Iterable[int], place: tuple[int, ...]
) -> dict[int, tuple[Any, ...]]:
    """The stored rows of those resources, in one statement; each begins with its resource."""
    wanted = msgspec.json.encode(sorted(resources)).decode()
    return {row[0]: row for row in db.execute(query, (wanted, *place))}


_READ_DAY = """
SELECT resource, usage_count, first_at, last_at, conversations, replies
FROM json_each(?1) AS wanted CROSS JOIN usage_day
WHERE day = ?2 AND kind = ?3 AND resource = wanted.value AND block = ?4
"""
_READ_CONVERSATIONS = """
SELECT resource, conversations FROM json_each(?1) AS wanted CROSS JOIN usage_day
WHERE day = ?2 AND kind = ?3 AND resource = wanted.value AND block = ?4
"""
_WRITE_DAY = """
REPLACE INTO usage_day
    (day, kind, resource, block, usage_count, first_at, last_at, conversations, replies)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_READ_CALLS = "SELECT call FROM invocation WHERE resource = ? AND reply = ?"
_WRITE_CALL = "INSERT OR IGNORE INTO invocation (resource, reply, call) VALUES (?, ?, ?)"
_WRITE_TOTAL = """
INSERT INTO usage_total
    (kind, resource, conversation_count, handoff_count, usage_count, first_at, last_at, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    conversation_count = conversation_count + excluded.conversation_count,
    handoff_count = handoff_count + excluded.handoff_count,
    usage_count = usage_count + excluded.usage_count,
    first_at = min(first_at, excluded.first_at),
    last_at = max(last_at, excluded.last_at),
    version = excluded.version
"""
