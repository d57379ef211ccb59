"""Counting: distinct usages and conversations, finished on each shard and added up here.

A conversation is on one shard with all of its replies, so what is distinct on a shard is distinct
anywhere, and no set crosses the network.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.facts import HANDED_OFF
from applyrate.store.clickhouse.names import read_names
from applyrate.store.clickhouse.rows import from_micros, inside
from applyrate.usage import ResourceType, ResourceUsage, UsageSummary, Window

OF_EACH_SHARD = "SETTINGS distributed_group_by_no_merge = 1"
"""The end of a query whose rows come from each shard, to be added up."""

TALLY = """
uniqExactIf((replied_at, reply), kind = 'available'),
uniqExactIf(conversation, kind = 'available'),
uniqExactIf((replied_at, reply, call), kind = 'applied'),
uniqExactIf(conversation, kind = 'applied'),
minOrNullIf(replied_at, kind = 'applied'),
maxOrNullIf(replied_at, kind = 'applied')
"""
"""What makes a Tally."""


class Tally(Struct, frozen=True):
    """The counts of a resource on some shards, and the times of its first and last application."""

    available_replies: int = 0
    available_sessions: int = 0
    applied_replies: int = 0
    applied_sessions: int = 0
    first_at: int | None = None
    last_at: int | None = None
    handoff_count: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """The counts of all of these shards."""
        firsts = [at for at in (self.first_at, other.first_at) if at is not None]
        lasts = [at for at in (self.last_at, other.last_at) if at is not None]
        return Tally(
            self.available_replies + other.available_replies,
            self.available_sessions + other.available_sessions,
            self.applied_replies + other.applied_replies,
            self.applied_sessions + other.applied_sessions,
            min(firsts, default=None),
            max(lasts, default=None),
            self.handoff_count + other.handoff_count,
        )

    def summary(self) -> UsageSummary:
        """The same as an answer."""
        return UsageSummary(**self._counts())

    def row(self, resource_id: str, name: str | None) -> ResourceUsage:
        """The same as a row of a list."""
        return ResourceUsage(
            resource_id=resource_id,
            name=name or UNSET,
            handoff_count=self.handoff_count,
            **self._counts(),
        )

    def _counts(self) -> dict[str, Any]:
        return {
            "session_count": self.applied_sessions,
            "applied_sessions": self.applied_sessions,
            "applied_replies": self.applied_replies,
            "available_sessions": self.available_sessions,
            "available_replies": self.available_replies,
            "first_used_at": None if self.first_at is None else from_micros(self.first_at),
            "last_used_at": None if self.last_at is None else from_micros(self.last_at),
        }


NOTHING = Tally()


def add_up(rows: Iterable[Sequence[Any]]) -> Mapping[Any, Tally]:
    """The tallies of rows that begin with a key, added up by it."""
    tallies = dict[Any, Tally]()
    for key, *counts in rows:
        tallies[key] = tallies.get(key, NOTHING) + Tally(*counts)
    return tallies


def count_resource(
    db: Operation, org: str, resource_type: ResourceType, resource_id: str, window: Window
) -> UsageSummary:
    """The counts of one resource; of one that nobody recorded, zeros."""
    values = {"org": org, "type": resource_type.value, "id": resource_id, **inside(window)}
    return sum((Tally(*row) for row in db.rows(_COUNT, values)), NOTHING).summary()


def count_resources(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    resource_ids: Sequence[str],
    window: Window,
) -> list[ResourceUsage]:
    """A row for each of the resources, in their order."""
    if not resource_ids:
        return []
    values = {"org": org, "type": resource_type.value, "ids": resource_ids, **inside(window)}
    tallies = add_up(db.rows(_COUNT_SOME, values))
    names = read_names(db, org, resource_type, resource_ids)
    return [
        tallies.get(resource_id, NOTHING).row(resource_id, names.get(resource_id))
        for resource_id in resource_ids
    ]


_COUNT = f"""
SELECT {TALLY} FROM usage_all
WHERE org = {{org:String}} AND resource_type = {{type:String}} AND resource_id = {{id:String}}
  AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
{OF_EACH_SHARD}
"""
_COUNT_SOME = f"""
SELECT resource_id, {TALLY},
       uniqExactIf(conversation, kind = 'applied' AND conversation IN {HANDED_OFF})
FROM usage_all
WHERE org = {{org:String}} AND resource_type = {{type:String}}
  AND resource_id IN {{ids:Array(String)}}
  AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
GROUP BY resource_id {OF_EACH_SHARD}
"""
