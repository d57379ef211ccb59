"""Signals: of which types it is known whether a resource was applied."""

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.usage import ResourceType


def applied_signal(db: Operation, org: str) -> frozenset[ResourceType]:
    """The types that a sender was able to report as applied, and those that were."""
    reportable = {ResourceType(name) for (name,) in db.rows(_REPORTABLE, {"org": org})}
    return frozenset(
        one
        for one in ResourceType
        if one in reportable or db.rows(_ANY_APPLIED, {"org": org, "type": one.value})
    )


_REPORTABLE = "SELECT DISTINCT resource_type FROM reportable_all WHERE org = {org:String}"
_ANY_APPLIED = f"""
SELECT 1 FROM usage_all
WHERE org = {{org:String}} AND resource_type = {{type:String}} AND kind = 'applied' AND {COUNTED}
LIMIT 1
"""
