"""Decoded days: the rows of resources that are asked for stay in memory between questions.

Reading a row costs a seek and decoding it; a question over a month has sixty of them, and the next
one over another month mostly the same. What is kept is never older than what is stored: every
commit gives the usages a new version and names the rows that it touches, which are forgotten before
it ends. A question reads the version of its moment. Where that is not the newest known here,
another process has written, and everything is forgotten.
"""

import sqlite3
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct
from pyroaring import BitMap

from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_order import ReplyOrder
from applyrate.store.sqlite.reply_times import REPLY_BYTES, Timeline
from applyrate.store.sqlite.rows import APPLIED

MAX_KEPT_BYTES = 48 * 1024 * 1024
"""What the decoded days of a process take, about."""

_ROW_BYTES = 500
_DAY_BYTES = 250
_REPLY_ORDER_SHARE = 8
"""So many of them one part is for the order of replies."""


class Row(Struct, gc=False):  # many are kept, and none is part of a circle
    """A resource's usages of one kind on one day in one block of replies.

    ``reply_count`` and ``timeline`` are filled by the first question that needs them; a busy row
    gets its timeline from a question about many spans alone, since of one at the edge of a window
    only the part inside is read.
    """

    block: int
    usage_count: int
    first_at: int
    last_at: int
    conversations: BitMap
    reply_count: int | None = None
    timeline: Timeline | None = None


class Day(Struct, gc=False):
    """The rows of a resource on one day, as they are since a version of the usages.

    ``bytes`` is what it takes in memory, about.
    """

    version: int
    available: tuple[
        Row, ...
    ] = ()  # the collector need not walk a tuple of rows, as it would lists
    applied: tuple[Row, ...] = ()
    bytes: int = _DAY_BYTES

    def rows(self, kind: int) -> tuple[Row, ...]:
        """The rows of one kind of usage."""
        return self.applied if kind == APPLIED else self.available


class Days:
    """The decoded days of one file, shared by all threads of a process.

    ``version`` is the newest one of the usages that is known here.
    """

    def __init__(self, max_bytes: int) -> None:
        self.reply_order = ReplyOrder(max_bytes // _REPLY_ORDER_SHARE)
        self._max_bytes = max_bytes - max_bytes // _REPLY_ORDER_SHARE
        self._lock = threading.Lock()
        self.version = -1
        self._kept_bytes = 0
        self._resources: OrderedDict[int, _Resource] = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """What everything that is kept takes, about."""
        return self._kept_bytes + self.reply_order.kept_bytes

    def advance(self, db: sqlite3.Connection) -> None:
        """Give the usages a new version, in the write transaction that changes them."""
        (version,) = db.execute(_ADVANCE).fetchone()
        with self._lock:
            if version != self.version + 1:
                self._clear()
            self.version = version

    def forget(self, day: int, resources: Iterable[int]) -> None:
        """Forget the rows of a day that the running transaction touches."""
        with self._lock:
            for resource in resources:
                known = self._resources.get(resource)
                if known and (forgotten := known.days.pop(day, None)):
                    self._spend(known, -forgotten.bytes)

    def clear(self) -> None:
        """Forget everything: a transaction was undone, or the file is another one."""
        self.reply_order.clear()
        with self._lock:
            self._clear()

    def at(self, db: sqlite3.Connection) -> "DaysAt":
        """The days as they are in a read transaction."""
        (version,) = db.execute("SELECT number FROM usage_version").fetchone()
        with self._lock:
            if version > self.version:
                self._clear()
                self.version = version
        return DaysAt(self, db, version)

    def known(self, resource: int, wanted: Iterable[int], version: int) -> dict[int, Day]:
        """Those of the wanted days that are kept and hold at a version."""
        with self._lock:
            if resource not in self._resources:
                return {}
            self._resources.move_to_end(resource)
            days = self._resources[resource].days
            found = {day: days[day] for day in wanted if day in days}
        return {day: rows for day, rows in found.items() if rows.version <= version}

    def keep(self, resource: int, days: dict[int, Day], version: int) -> None:
        """Keep days that were read at a version, unless they may have changed since."""
        with self._lock:
            if version != self.version:
                return
            known = self._resources.setdefault(resource, _Resource())
            new = {day: rows for day, rows in days.items() if day not in known.days}
            known.days.update(new)
            self._spend(known, sum([day.bytes for day in new.values()]))

    def keep_timeline(self, resource: int, day: int, row: Row, timeline: Timeline) -> None:
        """Keep a row's timeline with it."""
        with self._lock:
            if row.timeline is not None:
                return
            row.timeline = timeline
            known = self._resources.get(resource)
            kept = known.days.get(day) if known else None
            if known and kept and any(one is row for one in kept.available + kept.applied):
                more = REPLY_BYTES * len(timeline.times)
                kept.bytes += more
                self._spend(known, more)

    def _spend(self, known: "_Resource", more: int) -> None:
        known.bytes += more
        self._kept_bytes += more
        while self._kept_bytes > self._max_bytes:
            _, longest_unasked = self._resources.popitem(last=False)
            self._kept_bytes -= longest_unasked.bytes

    def _clear(self) -> None:
        self._resources.clear()
        self._kept_bytes = 0
        self.version = -1


class DaysAt(NamedTuple):
    """The days of one file as they are in one read transaction."""

    days: Days
    db: sqlite3.Connection
    version: int

    def read(self, resources: Sequence[int], first: int, last: int) -> dict[int, dict[int, Day]]:
        """The days of resources from ``first`` to ``last``, both included."""
        wanted = days_worth_asking(self.db, first, last)
        found = {
            resource: self.days.known(resource, wanted, self.version) for resource in resources
        }
        lacking: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for resource, days in found.items():
            if len(days) < len(wanted):
                lacking[tuple(day for day in wanted if day not in days)].append(resource)
        for missing, those in lacking.items():
            for resource, read in self._read(those, missing).items():
                self.days.keep(resource, read, self.version)
                found[resource] |= read
        return found

    def _read(self, resources: Sequence[int], missing: Sequence[int]) -> dict[int, dict[int, Day]]:
        """Read the rows in the order in which they lie: by day, then kind, then resource."""
        read: dict[int, dict[int, Day]] = {resource: {} for resource in resources}
        wanted = (
            msgspec.json.encode(missing).decode(),
            msgspec.json.encode(sorted(resources)).decode(),
        )
        for resource, day, kind, block, usage_count, first_at, last_at, packed in self.db.execute(
            _DAYS, wanted
        ):
            days = read[resource]
            if day not in days:
                days[day] = Day(self.version)
            known = days[day]
            row = (Row(block, usage_count, first_at, last_at, unpack(packed)),)
            if kind == APPLIED:
                known.applied += row
            else:
                known.available += row
            known.bytes += _ROW_BYTES + 2 * len(packed)
        nothing = Day(self.version)
        for days in read.values():
            for day in missing:
                days.setdefault(day, nothing)
        return read


class _Resource(Struct):
    days: dict[int, Day] = {}
    bytes: int = 0


def days_worth_asking(db: sqlite3.Connection, first: int, last: int) -> Sequence[int]:
    """The days from ``first`` to ``last``; of many, only those that anybody has a usage on.

    One time out of the ordinary, such as the year 1, must not make every question ask all days.
    """
    days = range(first, last + 1)
    if len(days) <= _MANY_DAYS:
        return days
    return [day for (day,) in db.execute(_USED_DAYS, (first, last))]


_MANY_DAYS = 1_000

_ADVANCE = "UPDATE usage_version SET number = number + 1 RETURNING number"
_USED_DAYS = """
WITH RECURSIVE used (day) AS (
    SELECT min(day) FROM usage_day WHERE day >= ?1
    UNION ALL
    SELECT (SELECT min(usage_day.day) FROM usage_day WHERE usage_day.day > used.day)
    FROM used WHERE used.day < ?2
)
SELECT day FROM used WHERE day <= ?2
"""
_DAYS = """
SELECT resource, day, kind, block, usage_count, first_at, last_at, conversations
FROM json_each(?1) AS wanted CROSS JOIN (SELECT 0 AS code UNION ALL SELECT 1)
     CROSS JOIN json_each(?2) AS asked CROSS JOIN usage_day
WHERE day = wanted.value AND kind = code AND resource = asked.value
"""
