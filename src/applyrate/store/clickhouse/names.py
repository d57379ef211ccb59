"""Names of resources: what the catalogue says, or else the first that came after a usage."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import now_micros
from applyrate.usage import ResourceType


def give_names(
    db: Operation,
    org: str,
    names: Mapping[ResourceType, Mapping[str, str]],
    used: AbstractSet[tuple[str, str]],
) -> None:
    """Name the resources that have a usage and no name; ``used`` are known to have one."""
    for of, brought in names.items():
        named = {resource_id: name for resource_id, name in brought.items() if name}
        if not named:
            continue
        values = {"org": org, "type": of.value, "ids": list(named)}
        for (resource_id,) in db.rows(_NAMED, values):
            del named[resource_id]
        unsure = [resource_id for resource_id in named if (of.value, resource_id) not in used]
        unused = set(unsure) - find_used(db, org, of, unsure)
        at = -now_micros()
        db.insert(
            "resource_name_all",
            "org resource_type resource_id said",
            [
                (org, of.value, resource_id, (at, name))
                for resource_id, name in named.items()
                if resource_id not in unused
            ],
        )


def find_used(
    db: Operation, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> set[str]:
    """Those of the resources that have a usage."""
    if not resource_ids:
        return set()
    values = {"org": org, "type": resource_type.value, "ids": resource_ids}
    return {resource_id for (resource_id,) in db.rows(_USED, values)}


def read_names(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    resource_ids: Sequence[str] | None = None,
) -> dict[str, str]:
    """The names of a type's resources, or of some of them, of those that have one."""
    values = {
        "org": org,
        "type": resource_type.value,
        "all": resource_ids is None,
        "ids": resource_ids or [],
    }
    return dict(db.rows(_READ, values))


_NAMED = """
SELECT DISTINCT resource_id FROM resource_name_all
WHERE org = {org:String} AND resource_type = {type:String} AND resource_id IN {ids:Array(String)}
"""
_USED = """
SELECT DISTINCT resource_id FROM usage_all
WHERE org = {org:String} AND resource_type = {type:String} AND resource_id IN {ids:Array(String)}
"""
_READ = """
SELECT resource_id, argMax(name, wins) FROM (
    SELECT resource_id, tupleElement(max(said), 'text') AS name, 0 AS wins FROM resource_name_all
    WHERE org = {org:String} AND resource_type = {type:String}
      AND ({all:Bool} OR resource_id IN {ids:Array(String)})
    GROUP BY resource_id
    UNION ALL
    SELECT resource_id, tupleElement(max(said) AS newest, 'text'), 1 FROM catalogue_all
    WHERE org = {org:String} AND resource_type = {type:String} AND field = 'name'
      AND ({all:Bool} OR resource_id IN {ids:Array(String)})
    GROUP BY resource_id HAVING tupleElement(newest, 'is_given')
) GROUP BY resource_id
"""
