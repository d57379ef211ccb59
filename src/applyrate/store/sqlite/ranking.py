"""Ranking: a type's resources as a table, by any of its columns.

By last use the table is read like the list, backwards in time, until the page is full. Any other
order needs a number of every resource; the other columns of a row are counted for the page alone.
What has no value in the column comes last, whichever way the table is turned.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.columns import Columns, to_numbers
from applyrate.store.sqlite.conversation_columns import ConversationColumns
from applyrate.store.sqlite.counting import to_span
from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.edges import Edges
from applyrate.store.sqlite.handoff_shares import handoff_shares
from applyrate.store.sqlite.last_use import applied_on_day, last_applied
from applyrate.store.sqlite.ranked_rows import read_ranked_rows
from applyrate.store.sqlite.reply_order import ReplyOrder
from applyrate.store.sqlite.rows import APPLIED, AVAILABLE
from applyrate.store.sqlite.searching import find_matching
from applyrate.store.sqlite.type_counting import TypeCounter
from applyrate.usage import RankedResources, ResourceSort, ResourceType, Window


def rank_resources(
    db: sqlite3.Connection,
    order: ReplyOrder,
    columns: Columns,
    conversation_columns: ConversationColumns,
    org: str,
    resource_type: ResourceType,
    window: Window,
    *,
    sort: ResourceSort,
    descending: bool,
    search: str,
    limit: int,
    offset: int,
) -> RankedResources:
    """Some rows of the table, from the one at ``offset`` on."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return RankedResources([], 0)
    (org_id,) = found
    span = to_span(window)
    edges = Edges(db, order, org_id, span)
    of_type = TypeCounter(db, columns, org_id, resource_type, span)
    matching = find_matching(db, of_type, search)
    if sort is ResourceSort.LAST_USED:
        by_last_use = _newest_first if descending else _oldest_first
        ordered = by_last_use(db, edges, of_type, matching)
    else:
        ordered = iter(
            _by_value(db, conversation_columns, of_type, matching, sort, descending=descending)
        )
    first, _ = of_type.ids
    page = [first + number for number in islice(ordered, offset, offset + limit)]
    return RankedResources(read_ranked_rows(db, edges, org_id, page), len(matching))


def _newest_first(
    db: sqlite3.Connection, edges: Edges, of_type: TypeCounter, matching: Sequence[int]
) -> Iterator[int]:
    """Those applied by their last time, then those that were available, then the others."""
    wanted, applied = BitMap(matching), BitMap()
    for on_day in last_applied(db, edges, of_type.ids, of_type.span, wanted):
        found = _by_time(on_day, of_type, matching, descending=True)
        applied.update(found)
        yield from found
    yield from _not_applied(of_type, matching, applied)


def _oldest_first(
    db: sqlite3.Connection, edges: Edges, of_type: TypeCounter, matching: Sequence[int]
) -> Iterator[int]:
    """The same with the oldest of those applied first, which only the whole window tells."""
    wanted = BitMap(matching)
    last_used = of_type.last_used(APPLIED)
    for day, numbers in last_used.items():
        on_day = applied_on_day(db, edges, of_type.ids, of_type.span, day, numbers & wanted)
        yield from _by_time(on_day, of_type, matching, descending=False)
    yield from _not_applied(of_type, matching, BitMap.union(BitMap(), *last_used.values()))


def _by_time(
    on_day: Mapping[int, int], of_type: TypeCounter, matching: Sequence[int], *, descending: bool
) -> list[int]:
    first, _ = of_type.ids
    times = {resource - first: at for resource, at in on_day.items()}
    found = [number for number in matching if number in times]
    found.sort(key=times.__getitem__, reverse=descending)
    return found


def _not_applied(of_type: TypeCounter, matching: Sequence[int], applied: BitMap) -> Iterator[int]:
    available = of_type.used_numbers(AVAILABLE) - applied
    yield from (number for number in matching if number in available)
    others = available | applied
    yield from (number for number in matching if number not in others)


def _by_value(
    db: sqlite3.Connection,
    conversation_columns: ConversationColumns,
    of_type: TypeCounter,
    matching: Sequence[int],
    sort: ResourceSort,
    *,
    descending: bool,
) -> list[int]:
    """By a value, those without one at the end; ties by ``resource_id``, as they come."""
    match sort:
        case ResourceSort.NAME:
            names = _read_names(db, of_type.ids)
            return sorted(matching, key=names.__getitem__, reverse=descending)
        case ResourceSort.APPLIED | ResourceSort.AVAILABLE:
            kind = APPLIED if sort is ResourceSort.APPLIED else AVAILABLE
            counts = of_type.usage_counts(kind)
            return sorted(matching, key=counts.__getitem__, reverse=descending)
        case ResourceSort.HANDOFF_SHARE:
            shares = handoff_shares(db, conversation_columns, of_type)
        case _:
            applied, available = of_type.usage_counts(APPLIED), of_type.usage_counts(AVAILABLE)
            both = enumerate(zip(applied, available, strict=True))
            shares = {number: used / had for number, (used, had) in both if had}
    valued = [number for number in matching if number in shares]
    valued.sort(key=shares.__getitem__, reverse=descending)
    return [*valued, *(number for number in matching if number not in shares)]


def _read_names(db: sqlite3.Connection, ids: tuple[int, int]) -> dict[int, str]:
    """The names by which resources are shown, without regard to case, by their number."""
    numbers, names = db.execute(_NAMES, ids).fetchone()
    folded = map(str.casefold, msgspec.json.decode(names, type=list[str]))
    return dict(zip(to_numbers(numbers), folded, strict=True))


_NAMES = """
SELECT group_concat(id - ?1), json_group_array(coalesce(catalogue_name, name, resource_id))
FROM resource WHERE id BETWEEN ?1 AND ?2
"""
