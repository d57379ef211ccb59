"""What replies had and applied: the usages of a few replies of about the same time."""

from collections import defaultdict
from collections.abc import Collection

from msgspec import Struct

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.usage import ResourceType, UsageKind


class Used(Struct, frozen=True):
    """A resource as a reply used it; ``count`` is the number of invocations, 1 for what is none."""

    kind: UsageKind
    resource_type: ResourceType
    resource_id: str
    count: int


def read_reply_usages(
    db: Operation, org: str, replies: Collection[tuple[int, int]]
) -> dict[int, list[Used]]:
    """What each of the replies (time and number) used: what it had first, by type and id."""
    used = defaultdict[int, list[Used]](list)
    if not replies:
        return used
    values = {
        "org": org,
        "first_at": min(at for at, _ in replies),
        "last_at": max(at for at, _ in replies),
        "replies": [reply for _, reply in replies],
    }
    for reply, kind, resource_type, resource_id, count in db.rows(_USED, values):
        used[reply].append(Used(UsageKind(kind), ResourceType(resource_type), resource_id, count))
    return used


_USED = f"""
SELECT reply, kind, resource_type, resource_id, uniqExact(call) FROM usage_all
WHERE org = {{org:String}}
  AND replied_at BETWEEN {{first_at:Int64}} AND {{last_at:Int64}}
  AND reply IN {{replies:Array(UInt64)}} AND {COUNTED}
GROUP BY reply, kind, resource_type, resource_id
ORDER BY reply, kind, resource_type, resource_id
"""
