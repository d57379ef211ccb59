"""Changes: which resources gained or lost usages since a version.

The version of a change is the number of the block that it was inserted in, which the first shard
gives when it makes the block visible. So of two changes the one that is seen first has the lesser
version, whichever node sent it, and whoever asks for what changed since the version of the last
answer misses nothing.
"""

from collections.abc import Collection

from applyrate.store.clickhouse.cluster import Operation
from applyrate.usage import Changes, ResourceType

_BEFORE_THE_FIRST = 0


def note_changes(db: Operation, org: str, resources: Collection[tuple[str, str]]) -> None:
    """Note that resources gained or lost usages, which is there already."""
    db.insert(
        "change_all",
        "org resource_type resource_id",
        ((org, *resource) for resource in sorted(resources)),
    )


def read_changes(db: Operation, org: str, after: int | None) -> Changes:
    """The present version, and what changed since the one named."""
    ((version,),) = db.rows(_VERSION)
    if after is None or after == version:
        return Changes(version, [])
    since = after if after < version else _BEFORE_THE_FIRST
    changed = db.rows(_CHANGED, {"org": org, "since": since, "version": version})
    return Changes(version, [(ResourceType(name), resource_id) for name, resource_id in changed])


_VERSION = "SELECT max(_block_number) FROM change_all"
_CHANGED = """
SELECT resource_type, resource_id FROM change_all WHERE org = {org:String}
GROUP BY resource_type, resource_id
HAVING max(_block_number) > {since:Int64}
ORDER BY resource_type, resource_id
"""
