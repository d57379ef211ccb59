"""What replies had and applied: the rows of their days, read for a few replies at once.

A row of a day knows the replies of one resource. The way back is to look into all rows of the day,
of which most are passed over by their first and last times.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE, DAY, ORDINAL_BITS, ordinal_range
from applyrate.usage import ResourceType


class Resource(NamedTuple):
    """A resource as the world knows it; ordered by type, then by id."""

    type: ResourceType
    resource_id: str


class Used(NamedTuple):
    """What one reply had and applied, each in order; an action with its number of invocations."""

    available: list[Resource]
    applied: list[tuple[Resource, int]]


def read_reply_usages(
    db: sqlite3.Connection, org: int, replied_at: Mapping[int, int]
) -> dict[int, Used]:
    """The usages of replies (ordinals), of which the times are given in microseconds."""
    replies_of = _replies_of(db, org, replied_at)
    resources = _resources(db, replies_of[AVAILABLE].keys() | replies_of[APPLIED].keys())
    usages = {reply: Used([], []) for reply in replied_at}
    for key, resource in resources:
        for reply in replies_of[AVAILABLE].get(key, ()):
            usages[reply].available.append(resource)
        if replies := replies_of[APPLIED].get(key):
            is_action = resource.type is ResourceType.ACTION
            calls = _calls(db, org, key, replies) if is_action else {}
            for reply in replies:
                usages[reply].applied.append((resource, calls.get(reply, 1)))
    return usages


def _replies_of(
    db: sqlite3.Connection, org: int, replied_at: Mapping[int, int]
) -> tuple[defaultdict[int, BitMap], defaultdict[int, BitMap]]:
    """By kind and resource, which of the replies used it."""
    on_day: defaultdict[int, list[int]] = defaultdict(list)
    for reply, at in replied_at.items():
        on_day[at // DAY].append(reply)
    found: tuple[defaultdict[int, BitMap], ...] = (defaultdict(BitMap), defaultdict(BitMap))
    for day, replies in on_day.items():
        wanted = BitMap(replies)
        times = [replied_at[reply] for reply in replies]
        for kind, resource, packed in db.execute(
            _DAY, (day, *ordinal_range(org), min(times), max(times))
        ):
            if used := unpack(packed) & wanted:
                found[kind][resource] |= used
    return found[AVAILABLE], found[APPLIED]


def _resources(db: sqlite3.Connection, keys: set[int]) -> list[tuple[int, Resource]]:
    """Resources with their ids in the file, in the order of types and ids."""
    rows = db.execute(_RESOURCES, (msgspec.json.encode(list(keys)).decode(),))
    named = [(key, Resource(ResourceType(name), resource_id)) for key, name, resource_id in rows]
    return sorted(named, key=lambda entry: entry[1])


def _calls(db: sqlite3.Connection, org: int, action: int, replies: BitMap) -> dict[int, int]:
    """How often replies invoked an action; one that has no row of it did so once."""
    wanted = msgspec.json.encode(list(replies)).decode()
    return dict(db.execute(_CALLS, (wanted, action, org << ORDINAL_BITS)).fetchall())


_DAY = """
SELECT kind, resource, replies FROM usage_day
WHERE day = ? AND kind IN (0, 1) AND resource BETWEEN ? AND ? AND last_at >= ? AND first_at <= ?
"""
_RESOURCES = """
SELECT resource.id, resource.type, resource_id FROM json_each(?) AS wanted CROSS JOIN resource
WHERE resource.id = wanted.value
"""
_CALLS = """
SELECT invocation.reply & 0xFFFFFFFF, count(*) FROM json_each(?1) AS wanted CROSS JOIN invocation
WHERE resource = ?2 AND invocation.reply = ?3 | wanted.value GROUP BY invocation.reply
"""
