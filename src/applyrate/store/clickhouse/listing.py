"""Listing: the resources of a type in the order of most recent use, one page of them counted.

The order needs the last application of every resource in the window, which is one column and the
cheapest of questions; the counts are needed for the page alone.
"""

from typing import Final

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.counting import count_resources
from applyrate.store.clickhouse.rows import from_micros, inside, to_micros
from applyrate.usage import Page, ResourcePosition, ResourceType, ResourceUsage, Window

_BEFORE_ALL, _APPLIED, _AVAILABLE, _CATALOGUED = range(4)


def list_resources(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    window: Window,
    limit: int,
    after: ResourcePosition | None,
) -> Page[ResourceUsage, ResourcePosition]:
    """A page of the resources with a fact in the window, and of the catalogued ones without."""
    rank, before, resource_id = _place(after)
    values = {
        "org": org,
        "type": resource_type.value,
        "rank": rank,
        "before": before,
        "id": resource_id,
        "limit": limit + 1,
        **inside(window),
    }
    listed = db.rows(_LIST, values)
    page = listed[:limit]
    items = count_resources(db, org, resource_type, [one for one, _, _ in page], window)
    return Page(items, _position(*page[-1]) if len(listed) > limit else None)


def _place(after: ResourcePosition | None) -> tuple[int, int, str]:
    """A position as the query has it: times are negated, so that all of it rises."""
    if after is None:
        return _BEFORE_ALL, 0, ""
    if after.last_used_at is not None:
        return _APPLIED, -to_micros(after.last_used_at), after.resource_id
    return _CATALOGUED if after.without_fact else _AVAILABLE, 0, after.resource_id


def _position(resource_id: str, rank: int, before: int) -> ResourcePosition:
    last_used_at = from_micros(-before) if rank == _APPLIED else None
    return ResourcePosition(last_used_at, rank == _CATALOGUED, resource_id)


_LIST: Final = f"""
SELECT resource_id, min(rank) AS listed_as, argMin(before, rank) AS listed_before FROM (
    SELECT resource_id, if(max(kind = 'applied'), {_APPLIED}, {_AVAILABLE}) AS rank,
           -maxIf(replied_at, kind = 'applied') AS before
    FROM usage_all
    WHERE org = {{org:String}} AND resource_type = {{type:String}}
      AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
    GROUP BY resource_id
    UNION ALL
    SELECT resource_id, {_CATALOGUED}, 0 FROM catalogue_all
    WHERE org = {{org:String}} AND resource_type = {{type:String}} AND field = 'catalogued'
) GROUP BY resource_id
HAVING (listed_as, listed_before, resource_id) > ({{rank:Int64}}, {{before:Int64}}, {{id:String}})
ORDER BY listed_as, listed_before, resource_id LIMIT {{limit:UInt32}}
"""
