"""Outcomes: what became of the conversations with a resource, and of those without it.

With it are those that applied it inside the window; without it those that only had it available
there. Conversations that ended in the same way are counted together, each on its shard.
"""

from collections.abc import Iterable
from typing import NamedTuple

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.counting import OF_EACH_SHARD
from applyrate.store.clickhouse.rows import inside
from applyrate.usage import OutcomeGroup, Outcomes, ResourceType, Window


def count_outcomes(
    db: Operation, org: str, resource_type: ResourceType, resource_id: str, window: Window
) -> Outcomes:
    """What became of them; zeros where the resource is unknown."""
    values = {"org": org, "type": resource_type.value, "id": resource_id, **inside(window)}
    ends = [_End(*row) for row in db.rows(_OUTCOMES, values)]
    return Outcomes(
        _group((end, end.applied) for end in ends),
        _group((end, end.all - end.applied) for end in ends),
    )


class _End(NamedTuple):
    """Conversations of a shard that ended in the same way: how many had it, how many applied it."""

    is_handed_off: bool
    has_status: bool
    is_resolved: bool
    has_csat: bool
    csat: float
    all: int
    applied: int


def _group(counted: Iterable[tuple[_End, int]]) -> OutcomeGroup:
    ends = list(counted)
    csat_count = sum(count for end, count in ends if end.has_csat)
    csat_sum = sum(end.csat * count for end, count in ends if end.has_csat)
    return OutcomeGroup(
        session_count=sum(count for _, count in ends),
        handoff_count=sum(count for end, count in ends if end.is_handed_off),
        status_count=sum(count for end, count in ends if end.has_status),
        resolved_count=sum(count for end, count in ends if end.is_resolved),
        csat_count=csat_count,
        csat_mean=csat_sum / csat_count if csat_count else None,
    )


_OUTCOMES = f"""
SELECT known.is_handed_off, known.has_status, known.is_resolved, known.has_csat, known.csat,
       uniqExact(conversation), uniqExactIf(conversation, kind = 'applied')
FROM usage_all
LEFT JOIN (
    SELECT conversation,
           tupleElement(tupleElement(maxIf((source, said), fact = 'handed_off_at'), 2), 'is_given')
               AS is_handed_off,
           tupleElement(maxIf(said, fact = 'status') AS status, 'is_given') AS has_status,
           has_status AND lower(tupleElement(status, 'text')) = 'resolved' AS is_resolved,
           tupleElement(maxIf(said, fact = 'csat') AS score, 'is_given') AS has_csat,
           tupleElement(score, 'score') AS csat
    FROM fact
    WHERE org = {{org:String}} AND fact IN ('handed_off_at', 'status', 'csat')
    GROUP BY conversation
) AS known USING (conversation)
WHERE org = {{org:String}} AND resource_type = {{type:String}} AND resource_id = {{id:String}}
  AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
GROUP BY 1, 2, 3, 4, 5 {OF_EACH_SHARD}
"""
