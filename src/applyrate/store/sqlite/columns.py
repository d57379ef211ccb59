"""Columns: how often each resource of a type was used on a day, for questions about all of them.

Asked one by one, thousands of resources would read every row of a window. Here a day of a type is
one long number: its digits of 32 bits are the counts of the resources, in the order of their ids,
so that adding up two days is one addition. Read once, a column stays in memory. It holds as long as
the version of the day (``type_day``) is the one that it was read at, whoever writes to the file.
"""

import sqlite3
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.edges import Span
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import ORDINAL_BITS, resource_range
from applyrate.usage import ResourceType

MAX_KEPT_BYTES = 48 * 1024 * 1024
"""What the columns that a process keeps take, about."""

_DIGIT_BITS = 32
_DIGIT_BYTES = _DIGIT_BITS // 8
_COLUMN_BYTES = 400


class Column(NamedTuple):
    """The counts of all resources of a type on a day, or a part of it.

    ``highest`` is the highest of them, ``usage_count`` their sum, the times (microseconds) are of
    the first and the last usage.
    """

    counts: int
    highest: int
    usage_count: int
    first_at: int
    last_at: int


class ColumnKey(NamedTuple):
    """Which column: of a whole day, or of a part."""

    org: int
    resource_type: ResourceType
    kind: int
    day: int
    part: Span | None = None


class Columns:
    """The columns of one file, shared by all threads of a process."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._columns: OrderedDict[ColumnKey, tuple[int, Column]] = OrderedDict()
        self.kept_bytes = 0

    def read(self, db: sqlite3.Connection, key: ColumnKey, version: int) -> Column:
        """A column as it is in a read transaction, where its day has that version."""
        with self._lock:
            kept = self._columns.get(key)
            if kept and kept[0] == version:
                self._columns.move_to_end(key)
                return kept[1]
        column = _read_day(db, key) if key.part is None else _read_part(db, key, key.part)
        self._keep(key, version, column)
        return column

    def _keep(self, key: ColumnKey, version: int, column: Column) -> None:
        with self._lock:
            kept = self._columns.get(key)
            if kept and kept[0] > version:
                return  # a reader of an older moment must not take the place of a newer one
            if kept:
                self.kept_bytes -= _size(kept[1])
            self._columns[key] = version, column
            self._columns.move_to_end(key)
            self.kept_bytes += _size(column)
            while self.kept_bytes > self._max_bytes:
                _, (_, longest_unasked) = self._columns.popitem(last=False)
                self.kept_bytes -= _size(longest_unasked)


def add_up(columns: Iterable[Column], size: int) -> list[int]:
    """The sums of columns by the number of the resource, for ``size`` resources."""
    sums = [0] * size
    counts = highest = 0
    for column in columns:
        if highest + column.highest >> _DIGIT_BITS:  # a digit might carry into the next one
            sums = [a + b for a, b in zip(sums, _digits(counts, size), strict=True)]
            counts = highest = 0
        counts += column.counts
        highest += column.highest
    if any(sums):
        return [a + b for a, b in zip(sums, _digits(counts, size), strict=True)]
    return _digits(counts, size).tolist()


def _size(column: Column) -> int:
    return _COLUMN_BYTES + sys.getsizeof(column.counts)


def _digits(counts: int, size: int) -> "array[int]":
    digits = array("I")
    digits.frombytes(counts.to_bytes(size * _DIGIT_BYTES, "little"))
    return digits


def make_column(numbers: list[int], usage_counts: list[int], first_at: int, last_at: int) -> Column:
    """A column of the counts of resources, of which one may come several times."""
    digits = array("I", bytes(_DIGIT_BYTES * (max(numbers, default=0) + 1)))
    for number, count in zip(numbers, usage_counts, strict=True):
        digits[number] += count
    counts = int.from_bytes(digits.tobytes(), "little")
    return Column(counts, max(digits), sum(usage_counts), first_at, last_at)


def _read_day(db: sqlite3.Connection, key: ColumnKey) -> Column:
    ids = resource_range(key.org, key.resource_type)
    numbers, usage_counts, first_at, last_at = db.execute(
        _DAY, (key.day, key.kind, *ids)
    ).fetchone()
    return make_column(_numbers(numbers), _numbers(usage_counts), first_at or 0, last_at or 0)


def _read_part(db: sqlite3.Connection, key: ColumnKey, part: Span) -> Column:
    """Of rows that lie inside as a whole the counts are known, of others the replies are asked."""
    ids = resource_range(key.org, key.resource_type)
    (text,) = db.execute(_REPLIES, (key.org, *part)).fetchone()
    inside = BitMap(_numbers(text))
    numbers, usage_counts = list[int](), list[int]()
    for number, usage_count, packed in db.execute(_PART, (key.day, key.kind, *ids, *part)):
        count = usage_count
        if packed is not None:
            replies = unpack(packed)
            count = replies.intersection_cardinality(inside)
            if count and usage_count > len(replies):
                count += _more_calls(db, key.org, ids[0] + number, replies & inside)
        numbers.append(number)
        usage_counts.append(count)
    return make_column(numbers, usage_counts, *part)


def _more_calls(db: sqlite3.Connection, org: int, action: int, replies: BitMap) -> int:
    """The invocations of an action in those replies, beyond one for each."""
    of_org = org << ORDINAL_BITS
    rows = db.execute(_MORE_CALLS, (action, of_org | replies.min(), of_org | replies.max()))
    return sum(more for reply, more in rows if reply ^ of_org in replies)


def _numbers(text: str | None) -> list[int]:
    """Numbers out of a text, which is thrice as fast as reading rows."""
    return msgspec.json.decode(f"[{text or ''}]", type=list[int])


_DAY = """
SELECT group_concat(resource - ?3), group_concat(usage_count), min(first_at), max(last_at)
FROM usage_day WHERE day = ?1 AND kind = ?2 AND resource BETWEEN ?3 AND ?4
"""
_REPLIES = """
SELECT group_concat(id & 0xFFFFFFFF) FROM reply INDEXED BY reply_time
WHERE org = ? AND replied_at >= ? AND replied_at < ?
"""
_PART = """
SELECT resource - ?3, usage_count,
       CASE WHEN first_at < ?5 OR last_at >= ?6 THEN replies END
FROM usage_day
WHERE day = ?1 AND kind = ?2 AND resource BETWEEN ?3 AND ?4 AND first_at < ?6 AND last_at >= ?5
"""
_MORE_CALLS = """
SELECT reply, count(*) - 1 FROM invocation
WHERE resource = ? AND reply BETWEEN ? AND ? GROUP BY reply HAVING count(*) > 1
"""
