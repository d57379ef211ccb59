"""Timelines: counts in each span from one of rising bounds to the next."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.counting import NOTHING, OF_EACH_SHARD, TALLY, add_up
from applyrate.store.clickhouse.rows import to_micros
from applyrate.usage import ResourceType, UsageBucket, UsageKind, UsageSummary


class Spans:
    """The spans between bounds. Where bounds are equal, what lies between them is empty."""

    def __init__(self, bounds: Sequence[datetime]) -> None:
        self._bounds = [to_micros(bound) for bound in bounds]
        self.count = max(0, len(bounds) - 1)
        self.place = {bound: place for place, bound in enumerate(self._bounds)}

    @property
    def values(self) -> Mapping[str, object]:
        """The parameters of a query."""
        bounds = self._bounds
        return {"bounds": sorted(set(bounds)), "start": bounds[0], "end": bounds[-1]}


def count_spans(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    bounds: Sequence[datetime],
) -> list[UsageSummary]:
    """The counts of one resource in each span."""
    spans = Spans(bounds)
    if not spans.count:
        return []
    values = {"org": org, "type": resource_type.value, "id": resource_id, **spans.values}
    tallies = {
        spans.place[start]: tally for start, tally in add_up(db.rows(_TIMELINE, values)).items()
    }
    return [tallies.get(place, NOTHING).summary() for place in range(spans.count)]


def count_usages(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    resource_ids: Sequence[str],
    bounds: Sequence[datetime],
    kind: UsageKind,
) -> Mapping[str, list[int]]:
    """The usages of each of some resources in each span."""
    spans = Spans(bounds)
    counts = {resource_id: [0] * spans.count for resource_id in resource_ids}
    if not spans.count or not resource_ids:
        return counts
    which = {"org": org, "type": resource_type.value, "ids": list(counts), "kind": kind.value}
    for resource_id, start, count in db.rows(_USAGE_COUNTS, which | dict(spans.values)):
        counts[resource_id][spans.place[start]] += count
    return counts


def count_type_spans(
    db: Operation, org: str, resource_type: ResourceType, bounds: Sequence[datetime]
) -> list[UsageBucket]:
    """The usages of all resources of a type in each span."""
    spans = Spans(bounds)
    available, applied = [0] * spans.count, [0] * spans.count
    if spans.count:
        values = {"org": org, "type": resource_type.value, **spans.values}
        for start, available_count, applied_count in db.rows(_TYPE_TIMELINE, values):
            available[spans.place[start]] += available_count
            applied[spans.place[start]] += applied_count
    return [UsageBucket(*counts) for counts in zip(available, applied, strict=True)]


_INSIDE = f"""
org = {{org:String}} AND resource_type = {{type:String}}
  AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
"""
_SPAN = "roundDown(replied_at, {bounds:Array(Int64)}) AS start"

_TIMELINE = f"""
SELECT {_SPAN}, {TALLY} FROM usage_all
WHERE {_INSIDE} AND resource_id = {{id:String}}
GROUP BY start {OF_EACH_SHARD}
"""
_USAGE_COUNTS = f"""
SELECT resource_id, {_SPAN}, uniqExact((replied_at, reply, call)) FROM usage_all
WHERE {_INSIDE} AND resource_id IN {{ids:Array(String)}} AND kind = {{kind:String}}
GROUP BY resource_id, start {OF_EACH_SHARD}
"""
_TYPE_TIMELINE = f"""
SELECT {_SPAN}, uniqExactIf((resource_id, replied_at, reply), kind = 'available'),
       uniqExactIf((resource_id, replied_at, reply, call), kind = 'applied')
FROM usage_all WHERE {_INSIDE} GROUP BY start {OF_EACH_SHARD}
"""
