"""When the usages of a type's resources begin and end."""

from datetime import datetime

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import from_micros
from applyrate.usage import ResourceType


def find_used_window(
    db: Operation, org: str, resource_type: ResourceType, resource_id: str | None
) -> tuple[datetime, datetime] | None:
    """The times of the first and the last usage; None where there is none."""
    values = {
        "org": org,
        "type": resource_type.value,
        "all": resource_id is None,
        "id": resource_id or "",
    }
    ((first_at, last_at),) = db.rows(_BOUNDS, values)
    return None if first_at is None else (from_micros(first_at), from_micros(last_at))


_BOUNDS = f"""
SELECT minOrNull(replied_at), maxOrNull(replied_at) FROM usage_all
WHERE org = {{org:String}} AND resource_type = {{type:String}}
  AND ({{all:Bool}} OR resource_id = {{id:String}}) AND {COUNTED}
"""
