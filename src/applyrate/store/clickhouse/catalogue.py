"""The catalogue: what is known of resources beside their usages, whether or not they have any."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import asdict

from applyrate.store.clickhouse.audit import note_act
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.names import find_used, read_names
from applyrate.store.clickhouse.rows import from_micros, now_micros, to_micros
from applyrate.usage import (
    AuditAction,
    CataloguedResource,
    CatalogueEntry,
    PublishedVersion,
    ResourceType,
)


def set_catalogue(db: Operation, org: str, entries: Sequence[CatalogueEntry], actor: str) -> None:
    """Set the named fields of resources, newer than all that was said of the organization's.

    Who began or ended to keep one on purpose is noted in the audit log.
    """
    ((newest,),) = db.rows(_NEWEST, {"org": org})
    first = max(now_micros(), newest + 1)
    kept = {
        (of.value, one)
        for of in {entry.type for entry in entries if entry.keep is not UNSET}
        for one in find_kept(db, org, of)
    }
    fields, versions = list[tuple[object, ...]](), list[tuple[object, ...]]()
    for at, entry in enumerate(entries, first):
        which = entry.type.value, entry.id
        if entry.keep is not UNSET and (which in kept) != entry.keep:
            kept ^= {which}
            told = "kept" if entry.keep else "not kept"
            target = "/".join(which)
            note_act(db, org, actor, AuditAction.RESOURCE_KEEP, target=target, detail=told)
        for field, value in _named(entry).items():
            fields.append((org, *which, field, (at, *value)))
        if isinstance(entry.version, str) and isinstance(entry.published_at, datetime):
            said = at, to_micros(entry.published_at)
            versions.append((org, *which, entry.version, said))
    db.insert("published_version_all", "org resource_type resource_id version said", versions)
    db.insert("catalogue_all", "org resource_type resource_id field said", fields)


def find_catalogued(
    db: Operation, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> dict[str, CataloguedResource]:
    """What is known of those of the resources that are known, by ``resource_id``."""
    if not resource_ids:
        return {}
    said = _read(db, org, resource_type, resource_ids)
    names = read_names(db, org, resource_type, resource_ids)
    values = {"org": org, "type": resource_type.value, "ids": resource_ids}
    versions = defaultdict[str, list[PublishedVersion]](list)
    for resource_id, version, published_at in db.rows(_VERSIONS, values):
        versions[resource_id].append(PublishedVersion(version, from_micros(published_at)))
    others = [resource_id for resource_id in resource_ids if resource_id not in said]
    known = said.keys() | find_used(db, org, resource_type, others)
    return {
        resource_id: CataloguedResource(
            name=names.get(resource_id),
            version=(entry := said.get(resource_id, _Entry())).version,
            url=entry.url,
            published_at=None if entry.published_at is None else from_micros(entry.published_at),
            keep=bool(entry.keep),
            versions=versions[resource_id],
        )
        for resource_id in resource_ids
        if resource_id in known
    }


def find_kept(db: Operation, org: str, resource_type: ResourceType) -> set[str]:
    """The resources that are kept on purpose."""
    values = {"org": org, "type": resource_type.value}
    return {resource_id for (resource_id,) in db.rows(_KEPT, values)}


def read_urls(
    db: Operation, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> dict[str, str | None]:
    """Where a person reads about resources, of those that are catalogued."""
    known = _read(db, org, resource_type, resource_ids)
    return {resource_id: entry.url for resource_id, entry in known.items()}


class _Entry(Struct):
    """What the catalogue says of a resource."""

    name: str | None = None
    version: str | None = None
    url: str | None = None
    published_at: int | None = None
    keep: int | None = None


def _read(
    db: Operation, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> dict[str, _Entry]:
    entries = dict[str, _Entry]()
    values = {"org": org, "type": resource_type.value, "ids": resource_ids}
    for resource_id, field, is_given, number, text in (
        db.rows(_READ, values) if resource_ids else ()
    ):
        entry = entries.setdefault(resource_id, _Entry())
        if is_given:
            setattr(entry, field, number if field in ("published_at", "keep") else text)
    return entries


def _named(entry: CatalogueEntry) -> dict[str, tuple[bool, int, str]]:
    """What an entry says: that it is catalogued, and the fields that it names."""
    named: dict[str, tuple[bool, int, str]] = {"catalogued": (False, 0, "")}
    for field, value in asdict(entry).items():
        if field not in ("type", "id") and value is not UNSET:
            named[field] = _plain(value)
    return named


def _plain(value: Any) -> tuple[bool, int, str]:
    if isinstance(value, str):
        return True, 0, value
    if isinstance(value, datetime):
        return True, to_micros(value), ""
    return value is not None, int(value or 0), ""


_NEWEST = """
SELECT greatest(
    (SELECT max(tupleElement(said, 'at')) FROM catalogue_all WHERE org = {org:String}),
    (SELECT max(tupleElement(said, 'at')) FROM published_version_all WHERE org = {org:String})
)
"""
_READ = """
SELECT resource_id, field, tupleElement(max(said) AS newest, 'is_given'),
       tupleElement(newest, 'number'), tupleElement(newest, 'text')
FROM catalogue_all
WHERE org = {org:String} AND resource_type = {type:String} AND resource_id IN {ids:Array(String)}
GROUP BY resource_id, field
"""
_VERSIONS = """
SELECT resource_id, version, tupleElement(max(said), 'published_at') AS since
FROM published_version_all
WHERE org = {org:String} AND resource_type = {type:String} AND resource_id IN {ids:Array(String)}
GROUP BY resource_id, version ORDER BY resource_id, since, version
"""
_KEPT = """
SELECT resource_id FROM catalogue_all
WHERE org = {org:String} AND resource_type = {type:String} AND field = 'keep'
GROUP BY resource_id HAVING tupleElement(max(said), 'number') = 1
"""
