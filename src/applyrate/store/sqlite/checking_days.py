"""Checking the sums of days: the usages of all resources of a type, and the conversations."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pyroaring import BitMap

from applyrate.store.sqlite.faults import differ, differ_sets, show_date
from applyrate.store.sqlite.packing import unpack
from applyrate.store.sqlite.rows import BLOCK_BITS, DAY, KIND_CODE, resource_range
from applyrate.store.sqlite.type_days import QUARTER, QUARTERS, type_of, unpack_counts
from applyrate.usage import ResourceType

_KIND_NAME = {code: kind for kind, code in KIND_CODE.items()}


class TypeUsages:
    """The usages of all resources of each type, gathered from the rows of the resources."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)

    def add(self, resource: int, kind: int, times: Iterable[int]) -> None:
        """Note a usage of a resource at each of the times (microseconds)."""
        self._counts[type_of(resource), kind].update([at // QUARTER for at in times])

    def faults(self, db: sqlite3.Connection) -> Iterator[str]:
        """What is stored of the days of types, compared with these."""
        for org, type_name, kind, day, packed in db.execute(_TYPE_DAYS):
            place = (
                f"type_day ({show_date(day)}, {_KIND_NAME.get(kind, kind)} {type_name} of {org})"
            )
            try:
                types = type_of(resource_range(org, ResourceType(type_name))[0])
                stored = unpack_counts(packed)
            except ValueError as error:
                yield f"{place}: cannot be read: {error}"
                continue
            given = self._counts[types, kind]
            for quarter, count in enumerate(stored, day * QUARTERS):
                for fault in differ(_name(quarter), count, given.pop(quarter, 0)):
                    yield f"{place}: {fault}"
        for (types, kind), counts in self._counts.items():
            for quarter, count in counts.items():
                what = f"{show_date(quarter // QUARTERS)}, kind {kind} of types {types}"
                yield f"type_day ({what}): the {count} usages {_name(quarter)} are not there"


def conversation_day_faults(
    db: sqlite3.Connection, org: int, conversations: Sequence[int], replied_at: Sequence[int]
) -> Iterator[str]:
    """What is stored of an organization's conversations by day, compared with its replies.

    ``conversations`` and ``replied_at`` are those of the replies, by ordinal; a negative
    conversation stands for none.
    """
    given: defaultdict[tuple[int, int], BitMap] = defaultdict(BitMap)
    for conversation, at in zip(conversations, replied_at, strict=True):
        if conversation >= 0:
            given[at // DAY, conversation >> BLOCK_BITS].add(conversation)
    for day, block, packed in db.execute(_CONVERSATION_DAYS, (org,)):
        place = f"conversation_day ({show_date(day)} of {org}, block {block})"
        try:
            stored = unpack(packed)
        except ValueError as error:
            yield f"{place}: cannot be read: {error}"
            continue
        for fault in differ_sets("conversations", stored, given.pop((day, block), BitMap())):
            yield f"{place}: {fault}"
    for day, block in given:
        yield f"conversation_day ({show_date(day)} of {org}, block {block}): it is not there"


def _name(quarter: int) -> str:
    minutes = quarter % QUARTERS * 15
    return f"usages from {minutes // 60:02}:{minutes % 60:02} on"


_TYPE_DAYS = "SELECT org, type, kind, day, usage_counts FROM type_day"
_CONVERSATION_DAYS = "SELECT day, block, conversations FROM conversation_day WHERE org = ?"
