"""The days of a type: how many usages all its resources together had, by quarter of an hour.

A day of any time zone in use starts at a quarter of an hour of UTC, so that a chart by day, week or
month in any of them is a sum of these. Like every stored count they grow by what the set gained.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from struct import Struct
from struct import error as StructError  # noqa: N812 (a class, whatever its name)
from typing import NamedTuple

from applyrate.store.sqlite.rows import DAY, ORDINAL_BITS, TYPE_BITS, TYPE_CODE
from applyrate.usage import ResourceType

QUARTERS = 96
"""The quarters of an hour of a day."""

QUARTER = DAY // QUARTERS
"""A quarter of an hour in microseconds."""

_COUNTS = Struct("<96I")
_TYPES = {code: resource_type for resource_type, code in TYPE_CODE.items()}


class TypeDay(NamedTuple):
    """A type's usages of one kind on a UTC day.

    ``version`` is that of the newest commit that changed any of them.
    """

    version: int
    usage_counts: tuple[int, ...]

    @property
    def usage_count(self) -> int:
        """Its usages in all."""
        return sum(self.usage_counts)

    def may_have(self, start: int, end: int) -> bool:
        """Whether there may be any in a part of the day, both in microseconds since it began."""
        return any(self.usage_counts[start // QUARTER : -(-end // QUARTER)])


class TypeDays:
    """What the days of types gained, on its way into the rows."""

    def __init__(self) -> None:
        self._replies: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)

    def add(self, resource_type: int, kind: int, day: int, replies: Sequence[int]) -> None:
        """Note the reply (ordinal) of each usage that a type (see ``type_of``) gained."""
        self._replies[resource_type, kind, day].extend(replies)

    def write(self, db: sqlite3.Connection, replied_at: Mapping[int, int], version: int) -> None:
        """Write what was gained, in the transaction that gives the usages that version."""
        quarter_of = {reply: at % DAY // QUARTER for reply, at in replied_at.items()}
        for (resource_type, kind, day), replies in self._replies.items():
            place = (*org_and_type(resource_type), kind, day)
            stored = db.execute(_READ_DAY, place).fetchone()
            counts = list(unpack_counts(*stored)) if stored else [0] * QUARTERS
            for reply, count in Counter(replies).items():
                counts[quarter_of[reply]] += count
            db.execute(_WRITE_DAY, (*place, version, _COUNTS.pack(*counts)))


def type_of(resource: int) -> int:
    """The part of an id that the resources of one organization and type share."""
    return resource >> TYPE_BITS


def take_away(
    db: sqlite3.Connection, lost_at: Mapping[tuple[int, int, int], Sequence[int]], version: int
) -> None:
    """Take the usages away that types lost, by type, kind and day; each with its time.

    It is done in the transaction that gives the usages that version.
    """
    for (resource_type, kind, day), times in lost_at.items():
        place = (*org_and_type(resource_type), kind, day)
        counts = list(unpack_counts(*db.execute(_READ_DAY, place).fetchone()))
        for quarter, count in Counter([at % DAY // QUARTER for at in times]).items():
            counts[quarter] -= count
        if any(counts):
            db.execute(_WRITE_DAY, (*place, version, _COUNTS.pack(*counts)))
        else:
            db.execute(_DELETE_DAY, place)


def read_type_days(
    db: sqlite3.Connection, org: int, resource_type: ResourceType, kind: int, first: int, last: int
) -> dict[int, TypeDay]:
    """The days from ``first`` to ``last``, both included, that have a usage; in their order."""
    rows = db.execute(_READ_DAYS, (org, resource_type, kind, first, last))
    return {day: TypeDay(version, unpack_counts(packed)) for day, version, packed in rows}


def unpack_counts(packed: bytes) -> tuple[int, ...]:
    """The usages of a day, by quarter of an hour. Raises ValueError where the bytes are none."""
    try:
        return _COUNTS.unpack(packed)
    except StructError as error:
        raise ValueError(str(error)) from None


def org_and_type(shared: int) -> tuple[int, ResourceType]:
    """The organization and the type that share a part of their ids (see ``type_of``)."""
    bits = ORDINAL_BITS - TYPE_BITS
    return shared >> bits, _TYPES[shared & (1 << bits) - 1]


_READ_DAY = """
SELECT usage_counts FROM type_day WHERE org = ? AND type = ? AND kind = ? AND day = ?
"""
_WRITE_DAY = """
REPLACE INTO type_day (org, type, kind, day, version, usage_counts)
VALUES (?, ?, ?, ?, ?, ?)
"""
_DELETE_DAY = "DELETE FROM type_day WHERE org = ? AND type = ? AND kind = ? AND day = ?"
_READ_DAYS = """
SELECT day, version, usage_counts FROM type_day
WHERE org = ? AND type = ? AND kind = ? AND day BETWEEN ? AND ? ORDER BY day
"""
