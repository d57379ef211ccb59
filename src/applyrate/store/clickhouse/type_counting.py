"""Counting all resources of a type at once: what orders and reasons are made of."""

from msgspec import Struct

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.counting import OF_EACH_SHARD
from applyrate.store.clickhouse.facts import HANDED_OFF
from applyrate.store.clickhouse.rows import inside
from applyrate.usage import ResourceType, TypeTotals, Window


class TypeCounts(Struct):
    """What a resource counts inside a window; ``last_at`` in microseconds, None: not applied."""

    available_replies: int = 0
    applied_replies: int = 0
    last_at: int | None = None


def read_ids(db: Operation, org: str, resource_type: ResourceType) -> list[str]:
    """The ids of a type's resources, seen or catalogued, sorted."""
    values = {"org": org, "type": resource_type.value}
    return sorted(resource_id for (resource_id,) in db.rows(_IDS, values))


def count_all(
    db: Operation, org: str, resource_type: ResourceType, window: Window
) -> dict[str, TypeCounts]:
    """The counts of each resource of a type that has a usage in the window."""
    counts = dict[str, TypeCounts]()
    values = {"org": org, "type": resource_type.value, **inside(window)}
    for resource_id, available, applied, last_at in db.rows(_COUNTS, values):
        of = counts.setdefault(resource_id, TypeCounts())
        of.available_replies += available
        of.applied_replies += applied
        if last_at is not None:
            of.last_at = last_at if of.last_at is None else max(of.last_at, last_at)
    return counts


def count_handoff_shares(
    db: Operation, org: str, resource_type: ResourceType, window: Window
) -> dict[str, float]:
    """Of the conversations that applied a resource, the share that was handed off."""
    counts = dict[str, tuple[int, int]]()
    values = {"org": org, "type": resource_type.value, **inside(window)}
    for resource_id, sessions, handoffs in db.rows(_HANDOFFS, values):
        before = counts.get(resource_id, (0, 0))
        counts[resource_id] = before[0] + sessions, before[1] + handoffs
    return {resource_id: part / whole for resource_id, (whole, part) in counts.items()}


def count_type(db: Operation, org: str, resource_type: ResourceType, window: Window) -> TypeTotals:
    """How many resources and conversations there are, and how many of them were applied."""
    values = {"org": org, "type": resource_type.value, **inside(window)}
    conversations = db.rows(_CONVERSATIONS, values)
    ((applied_count,),) = db.rows(_APPLIED, values)
    return TypeTotals(
        resource_count=len(read_ids(db, org, resource_type)),
        applied_count=applied_count,
        session_count=sum(sessions for sessions, _ in conversations),
        handoff_count=sum(handoffs for _, handoffs in conversations),
    )


_INSIDE = f"""
org = {{org:String}} AND resource_type = {{type:String}}
  AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
"""
_IDS = f"""
SELECT DISTINCT resource_id FROM usage_all
WHERE org = {{org:String}} AND resource_type = {{type:String}} AND {COUNTED}
UNION DISTINCT
SELECT DISTINCT resource_id FROM catalogue_all
WHERE org = {{org:String}} AND resource_type = {{type:String}} AND field = 'catalogued'
"""
_COUNTS = f"""
SELECT resource_id, uniqExactIf((replied_at, reply), kind = 'available'),
       uniqExactIf((replied_at, reply, call), kind = 'applied'),
       maxOrNullIf(replied_at, kind = 'applied')
FROM usage_all WHERE {_INSIDE} GROUP BY resource_id {OF_EACH_SHARD}
"""
_HANDOFFS = f"""
SELECT resource_id, uniqExact(conversation), uniqExactIf(conversation, conversation IN {HANDED_OFF})
FROM usage_all WHERE {_INSIDE} AND kind = 'applied' GROUP BY resource_id {OF_EACH_SHARD}
"""
_APPLIED = f"""
SELECT uniqExact(resource_id) FROM usage_all WHERE {_INSIDE} AND kind = 'applied'
"""
_CONVERSATIONS = f"""
SELECT uniqExact(conversation), uniqExactIf(conversation, conversation IN {HANDED_OFF})
FROM reply_all
WHERE org = {{org:String}} AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}}
  AND {COUNTED} {OF_EACH_SHARD}
"""
