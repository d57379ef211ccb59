"""When the usages of a type's resources begin and end."""

import sqlite3
from datetime import datetime

from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.rows import from_micros, resource_range
from applyrate.usage import ResourceType


def find_used_window(
    db: sqlite3.Connection, org: str, resource_type: ResourceType, resource_id: str | None
) -> tuple[datetime, datetime] | None:
    """The times of the first and the last usage; None where there is none."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return None
    (org_id,) = found
    if resource_id is None:
        bounds = db.execute(_OF_TYPE, resource_range(org_id, resource_type)).fetchone()
    else:
        bounds = db.execute(_OF_RESOURCE, (org_id, resource_type, resource_id)).fetchone()
    first_at, last_at = bounds
    if first_at is None:
        return None
    return from_micros(first_at), from_micros(last_at)


_OF_TYPE = """
SELECT min(first_at), max(last_at) FROM usage_total
WHERE kind IN (0, 1) AND resource BETWEEN ? AND ?
"""
_OF_RESOURCE = """
SELECT min(first_at), max(last_at) FROM usage_total
WHERE kind IN (0, 1) AND resource = (
  SELECT id FROM resource WHERE org = ? AND type = ? AND resource_id = ?
)
"""
