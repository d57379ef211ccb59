"""Columns: how often each resource of a type was used on a day, for questions about all of them.

Asked one by one, thousands of resources would read every row of a window. Here a day of a type is
one long number: its digits of 16 bits are the counts of the resources, in the order of their ids,
so that adding up two days is one addition. Read once, a column stays in memory. It holds as long as
the version of the day (``type_day``) is the one that it was read at, whoever writes to the file.
"""

import sqlite3
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.kept import Kept
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.reply_times import Span
from applyrate.store.sqlite.rows import ORDINAL_BITS, resource_range
from applyrate.usage import ResourceType

_DIGIT_BITS = 16
_DIGIT_BYTES = _DIGIT_BITS // 8
_LARGEST = (1 << _DIGIT_BITS) - 1
_COLUMN_BYTES = 600


class Column(NamedTuple):
    """The counts of all resources of a type on a day, or a part of it.

    A resource is known by its number among those of the type. ``used`` has those with a usage. A
    digit of ``counts`` ends at 65,535; ``beyond`` is what a few resources have above that.
    ``highest`` is the highest digit, ``usage_count`` the sum of all counts.
    """

    counts: int
    beyond: Mapping[int, int]
    used: BitMap
    highest: int
    usage_count: int


class ColumnKey(NamedTuple):
    """Which column: of a whole day, or of a part."""

    org: int
    resource_type: ResourceType
    kind: int
    day: int
    part: Span | None = None


class Columns:
    """The columns of one file, shared by all threads of a process."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: Kept[Column] = Kept(max_bytes)

    @property
    def kept_bytes(self) -> int:
        """What the columns that are kept take, about."""
        return self._kept.bytes

    def clear(self) -> None:
        """Forget all columns."""
        self._kept.clear()

    def read(self, db: sqlite3.Connection, key: ColumnKey, version: int) -> Column:
        """A column as it is in a read transaction, where its day has that version."""
        column = self._kept.find(key, version)
        if column is None:
            column = _read_day(db, key) if key.part is None else _read_part(db, key, key.part)
            self._kept.keep(key, version, column, size_of(column))
        return column


def add_up(columns: Iterable[Column], size: int) -> list[int]:
    """The sums of columns by the number of the resource, for ``size`` resources."""
    sums = [0] * size
    counts = highest = 0
    for column in columns:
        if highest + column.highest > _LARGEST:  # a digit might carry into the next one
            sums = list(map(add, sums, _digits(counts, size)))
            counts = highest = 0
        counts += column.counts
        highest += column.highest
        for number, more in column.beyond.items():
            sums[number] += more
    return list(map(add, sums, _digits(counts, size)))


def size_of(column: Column) -> int:
    """About how many bytes a column takes."""
    numbers = min(2 * len(column.used), column.used.max() >> 3) if column.used else 0
    return _COLUMN_BYTES + sys.getsizeof(column.counts) + numbers + 150 * len(column.beyond)


def _digits(counts: int, size: int) -> "array[int]":
    digits = array("H")
    digits.frombytes(counts.to_bytes(size * _DIGIT_BYTES, "little"))
    return digits


def make_column(numbers: Sequence[int], usage_counts: Sequence[int]) -> Column:
    """A column of the counts of resources, of which one may come several times."""
    sums = [0] * (max(numbers, default=-1) + 1)
    for number, count in zip(numbers, usage_counts, strict=True):
        sums[number] += count
    used = BitMap(numbers)
    if 0 in usage_counts:
        used = BitMap([number for number in used if sums[number]])
    highest, beyond = max(sums, default=0), {}
    if highest > _LARGEST:
        beyond = {number: sums[number] - _LARGEST for number in used if sums[number] > _LARGEST}
        sums = [min(count, _LARGEST) for count in sums]
    counts = int.from_bytes(array("H", sums).tobytes(), "little")
    return Column(counts, beyond, used, min(highest, _LARGEST), sum(usage_counts))


def subtract(column: Column, part: Column) -> Column:
    """What a column has beside a part of it. Neither may have counts beyond its digits."""
    counts = column.counts - part.counts
    digits = _digits(counts, max(column.used, default=-1) + 1)
    nothing_left = [number for number in part.used if not digits[number]]
    return Column(
        counts,
        {},
        column.used - BitMap(nothing_left),
        max(digits, default=0),
        column.usage_count - part.usage_count,
    )


def _read_day(db: sqlite3.Connection, key: ColumnKey) -> Column:
    ids = resource_range(key.org, key.resource_type)
    numbers, usage_counts = db.execute(_DAY, (key.day, key.kind, *ids)).fetchone()
    return make_column(to_numbers(numbers), to_numbers(usage_counts))


def _read_part(db: sqlite3.Connection, key: ColumnKey, part: Span) -> Column:
    """Of rows that lie inside as a whole the counts are known, of others the replies are asked."""
    ids = resource_range(key.org, key.resource_type)
    (text,) = db.execute(_REPLIES, (key.org, *part)).fetchone()
    inside = BitMap(to_numbers(text))
    numbers, usage_counts = list[int](), list[int]()
    for number, usage_count, packed in db.execute(_PART, (key.day, key.kind, *ids, *part)):
        count = usage_count
        if packed is not None:
            replies = unpack(packed)
            count = replies.intersection_cardinality(inside)
            if count and usage_count > len(replies):
                count += more_calls(db, key.org, ids[0] + number, replies & inside)
        numbers.append(number)
        usage_counts.append(count)
    return make_column(numbers, usage_counts)


def more_calls(db: sqlite3.Connection, org: int, action: int, replies: BitMap) -> int:
    """The invocations of an action in those replies, beyond one for each."""
    of_org = org << ORDINAL_BITS
    rows = db.execute(_MORE_CALLS, (action, of_org | replies.min(), of_org | replies.max()))
    return sum(more for reply, more in rows if reply ^ of_org in replies)


def to_numbers(text: str | None) -> list[int]:
    """Numbers out of a text, which is thrice as fast as reading rows."""
    return msgspec.json.decode(f"[{text or ''}]", type=list[int])


_DAY = """
SELECT group_concat(resource - ?3), group_concat(usage_count) FROM usage_day
WHERE day = ?1 AND kind = ?2 AND resource BETWEEN ?3 AND ?4
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
