"""The prototype's way of answering, where the store goes another way.

all time     the union of the days' rows, where the store keeps sums of all time
odd seconds  the edges read the organization's whole part of the day, by time, where the store looks
             up a resource's few replies

It reads the days from a file of its own, filled from the store's and ordered as the prototype's
were, by resource and then by day, with bitmaps in Roaring's own format; all else from the store's
file. It is measured at its best: the order of a list comes from the store's sums, which the
prototype did not have. Instructions and knowledge only; of an action the days do not tell how often
it was invoked within a part of them.
"""

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from pyroaring import BitMap

from applyrate.store.sqlite.packing import unpack
from applyrate.usage import (
    Page,
    ResourcePosition,
    ResourceType,
    ResourceUsage,
    UsageSummary,
    Window,
)
from bench.peers.answers import DAY, counts, span

_TYPE_CODES = {ResourceType.INSTRUCTION: 1, ResourceType.KNOWLEDGE: 2}
_CACHE_KIB = 16_384


class Prototype:
    """Reads its own days, which it makes from the store's, and the store's replies."""

    def __init__(self, store: Path, days: Path) -> None:
        self._db = sqlite3.connect(days, isolation_level=None)
        self._db.execute("ATTACH ? AS store", (str(store),))
        for schema in ("main", "store"):
            self._db.execute(f"PRAGMA {schema}.cache_size = -{_CACHE_KIB}")
        self._db.create_function("portable", 1, lambda packed: unpack(packed).serialize())
        self._db.execute(_MAKE_DAYS)
        self._db.execute(_FILL_DAYS)

    def summary(
        self, org: str, resource_type: ResourceType, resource_id: str, window: Window
    ) -> UsageSummary:
        """The counts of a resource that was applied."""
        values = (org, resource_type, resource_id)
        resource, org_id = self._db.execute(_RESOURCE, values).fetchone()
        question = _Question(self._db, org_id, window)
        return UsageSummary(**_counts(question.tally(resource, 0), question.tally(resource, 1)))

    def resources(
        self, org: str, resource_type: ResourceType, window: Window, *, limit: int
    ) -> Page[ResourceUsage, ResourcePosition]:
        """The resources of a type that were applied, last used first; of all time only."""
        assert window == Window()
        (org_id,) = self._db.execute(_ORGANIZATION, (org,)).fetchone()
        first = org_id << 32 | _TYPE_CODES[resource_type] << 30
        listed = self._db.execute(_LISTED, (first, first | (1 << 30) - 1, limit + 1)).fetchall()
        packed = self._db.execute(_HANDED_OFF, (org_id,)).fetchall()
        handed_off = BitMap.union(BitMap(), *(unpack(blob) for (blob,) in packed))
        question, items = _Question(self._db, org_id, window), []
        for resource, resource_id in listed[:limit]:
            available, applied = question.tally(resource, 0), question.tally(resource, 1)
            items.append(
                ResourceUsage(
                    resource_id=resource_id,
                    handoff_count=applied.conversations.intersection_cardinality(handed_off),
                    **_counts(available, applied),
                )
            )
        if len(listed) <= limit:
            return Page(items, None)
        last = items[-1]
        return Page(
            items,
            ResourcePosition(last.last_used_at, without_fact=False, resource_id=last.resource_id),
        )

    def close(self) -> None:
        """Close the files."""
        self._db.close()


class _Tally(NamedTuple):
    conversations: BitMap
    usage_count: int
    times: list[int]


class _Question:
    """One question's window; each of its edges is read once."""

    def __init__(self, db: sqlite3.Connection, org: int, window: Window) -> None:
        self._db = db
        self._org = org
        self._start, self._end = span(window)
        self._edges: dict[int, tuple[BitMap, dict[int, tuple[int, int]]]] = {}

    def tally(self, resource: int, kind: int) -> _Tally:
        """What is counted of one kind of usage of a resource, from the rows of its days."""
        bitmaps, usage_count, times = [BitMap()], 0, list[int]()
        first_at, last_at = self._db.execute(_SPAN, (kind, resource)).fetchone()
        days = (max(self._start, first_at) // DAY, min(self._end - 1, last_at) // DAY)
        for day, count, *times_of_day, conversations, replies in self._db.execute(
            _DAYS, (resource, kind, *days)
        ):
            if self._start <= day * DAY and (day + 1) * DAY <= self._end:
                bitmaps.append(BitMap.deserialize(conversations))
                usage_count += count
                times += times_of_day
            else:
                all_inside, facts = self._edge(day)
                inside = BitMap.deserialize(replies) & all_inside
                bitmaps.append(BitMap([facts[reply][0] for reply in inside]))
                usage_count += len(inside)
                times += [facts[reply][1] for reply in inside]
        return _Tally(BitMap.union(*bitmaps), usage_count, times)

    def _edge(self, day: int) -> tuple[BitMap, dict[int, tuple[int, int]]]:
        """The organization's replies in the window's part of a day: conversations and times."""
        if day not in self._edges:
            part = (max(self._start, day * DAY), min(self._end, (day + 1) * DAY))
            facts = {
                reply: (conversation, at)
                for reply, conversation, at in self._db.execute(_REPLIES, (self._org, *part))
            }
            self._edges[day] = BitMap(list(facts)), facts
        return self._edges[day]


def _counts(available: _Tally, applied: _Tally) -> dict[str, Any]:
    times = applied.times
    return counts(
        (
            available.usage_count,
            len(available.conversations),
            applied.usage_count,
            len(applied.conversations),
            min(times, default=None),
            max(times, default=None),
        )
    )


_MAKE_DAYS = """
CREATE TABLE usage (
    resource      INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    day           INTEGER NOT NULL,
    block         INTEGER NOT NULL,
    usage_count   INTEGER NOT NULL,
    first_at      INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    conversations BLOB NOT NULL,
    replies       BLOB NOT NULL,
    PRIMARY KEY (resource, kind, day, block)
) WITHOUT ROWID
"""
_FILL_DAYS = """
INSERT INTO usage
SELECT resource, kind, day, block, usage_count, first_at, last_at,
       portable(conversations), portable(replies)
FROM usage_day ORDER BY 1, 2, 3, 4
"""
_ORGANIZATION = "SELECT id FROM organization WHERE name = ?"
_RESOURCE = """
SELECT resource.id, organization.id
FROM organization JOIN resource ON resource.org = organization.id
WHERE organization.name = ? AND type = ? AND resource_id = ?
"""
_LISTED = """
SELECT resource, resource_id FROM usage_total JOIN resource ON resource.id = resource
WHERE kind = 1 AND resource BETWEEN ? AND ? ORDER BY last_at DESC, resource_id LIMIT ?
"""
_HANDED_OFF = "SELECT conversations FROM handed_off WHERE org = ?"
_SPAN = "SELECT first_at, last_at FROM usage_total WHERE kind = ? AND resource = ?"
_DAYS = """
SELECT day, usage_count, first_at, last_at, conversations, replies FROM usage
WHERE resource = ? AND kind = ? AND day BETWEEN ? AND ?
"""
_REPLIES = """
SELECT id & 0xFFFFFFFF, conversation & 0xFFFFFFFF, replied_at FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
