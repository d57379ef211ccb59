"""Signals: of which types it is known whether a resource was applied.

Where nobody is able to report that, a count of zero says nothing about the resource.
"""

import sqlite3

from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.rows import APPLIED, resource_range
from applyrate.usage import ResourceType


def applied_signal(db: sqlite3.Connection, org: str) -> frozenset[ResourceType]:
    """The types that a sender was able to report as applied, and those that were."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return frozenset()
    (org_id,) = found
    reportable = {ResourceType(name) for (name,) in db.execute(_REPORTABLE, (org_id,))}
    return frozenset(
        resource_type
        for resource_type in ResourceType
        if resource_type in reportable
        or db.execute(_ANY_USAGE, (APPLIED, *resource_range(org_id, resource_type))).fetchone()
    )


_REPORTABLE = "SELECT type FROM reportable WHERE org = ?"
_ANY_USAGE = "SELECT 1 FROM usage_total WHERE kind = ? AND resource BETWEEN ? AND ? LIMIT 1"
