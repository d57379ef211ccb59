"""Counting one kind of usage of the few resources of a page, inside one window.

Beside ``counting``, which answers for one resource after another and keeps what it has decoded, a
page asks for other resources each time. Here the rows of all of them are read in the order in which
they lie, and what of their replies is inside the window is found for all of them at once.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import more_calls
from applyrate.store.sqlite.counting import Tally
from applyrate.store.sqlite.days import days_worth_asking
from applyrate.store.sqlite.edges import Edges
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import DAY


def tally_kind(
    db: sqlite3.Connection, edges: Edges, org: int, kind: int, resources: Sequence[int]
) -> dict[int, Tally]:
    """The counts of each of the resources in the window of the edges."""
    tallies = dict.fromkeys(resources, Tally())
    cut = list[int]()
    first, last = edges.span.end, edges.span.start
    for resource, *total in db.execute(_TOTALS, (_encode(resources), kind)):
        _, _, first_at, last_at, _ = total
        start, end = max(edges.span.start, first_at), min(edges.span.end, last_at + 1)
        if (start, end) == (first_at, last_at + 1):
            tallies[resource] = Tally(*total)
        elif start < end:
            cut.append(resource)
            first, last = min(first, start), max(last, end)
    if cut:
        days = days_worth_asking(db, first // DAY, (last - 1) // DAY)
        inside: defaultdict[int, list[_Counted]] = defaultdict(list)
        for counted in _Rows(db, edges, org, kind, sorted(cut)).read(days):
            inside[counted.resource].append(counted)
        tallies |= {resource: _add_up(parts) for resource, parts in inside.items()}
    return tallies


class _Counted(NamedTuple):
    """What of a row lies inside the window."""

    resource: int
    usage_count: int
    first_at: int
    last_at: int
    conversations: BitMap


class _Rows:
    """The rows of some resources."""

    def __init__(
        self, db: sqlite3.Connection, edges: Edges, org: int, kind: int, resources: Sequence[int]
    ) -> None:
        self._db = db
        self._edges = edges
        self._org = org
        self._kind = kind
        self._asked = _encode(resources)

    def read(self, days: Sequence[int]) -> Iterator[_Counted]:
        """What they have inside the window, of days in their order."""
        whole = [day for day in days if self._edges.span.covers(day)]
        for row in self._db.execute(_DAYS, (_encode(whole), self._kind, self._asked)):
            resource, usage_count, first_at, last_at, packed = row
            yield _Counted(resource, usage_count, first_at, last_at, unpack(packed))
        for day in days:
            if not self._edges.span.covers(day):
                yield from self._read_part(day)

    def _read_part(self, day: int) -> Iterator[_Counted]:
        rows = self._db.execute(_PART, (day, self._kind, self._asked, *self._edges.span)).fetchall()
        cut = list[tuple[int, int, BitMap]]()
        for resource, usage_count, first_at, last_at, packed, replies in rows:
            if replies is None:
                yield _Counted(resource, usage_count, first_at, last_at, unpack(packed))
            else:
                cut.append((resource, usage_count, unpack(replies)))
        inside = self._edges.inside(day, [replies for *_, replies in cut])
        for resource, usage_count, replies in cut:
            part = inside.find(replies)
            if part is None:
                continue
            count = len(part.replies)
            if usage_count > len(replies):
                count += more_calls(self._db, self._org, resource, part.replies)
            yield _Counted(resource, count, part.first_at, part.last_at, part.conversations)


def _add_up(parts: Sequence[_Counted]) -> Tally:
    together = BitMap.union(*[part.conversations for part in parts])
    return Tally(
        len(together),
        sum([part.usage_count for part in parts]),
        min([part.first_at for part in parts]),
        max([part.last_at for part in parts]),
        conversations=together,
    )


def _encode(numbers: Sequence[int]) -> str:
    return msgspec.json.encode(numbers).decode()


_TOTALS = """
SELECT resource, conversation_count, usage_count, first_at, last_at, handoff_count
FROM json_each(?1) AS asked CROSS JOIN usage_total
WHERE kind = ?2 AND resource = asked.value
"""
_DAYS = """
SELECT resource, usage_count, first_at, last_at, conversations
FROM json_each(?1) AS wanted CROSS JOIN json_each(?3) AS asked CROSS JOIN usage_day
WHERE day = wanted.value AND kind = ?2 AND resource = asked.value
"""
# The replies are read only of a row that the window cuts.
_PART = """
SELECT resource, usage_count, first_at, last_at, conversations,
       CASE WHEN first_at < ?4 OR last_at >= ?5 THEN replies END
FROM json_each(?3) AS asked CROSS JOIN usage_day
WHERE day = ?1 AND kind = ?2 AND resource = asked.value AND first_at < ?5 AND last_at >= ?4
"""
