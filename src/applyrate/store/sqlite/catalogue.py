"""The catalogue: what is known of resources beside their usages, whether or not they have any."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from applyrate.store.sqlite.audit import note_act
from applyrate.store.sqlite.directory import FIND_ORGANIZATION, Directory
from applyrate.store.sqlite.rows import from_micros, to_micros
from applyrate.usage import (
    AuditAction,
    CataloguedResource,
    CatalogueEntry,
    PublishedVersion,
    ResourceType,
)


def set_catalogue(
    db: sqlite3.Connection, org: str, entries: Sequence[CatalogueEntry], actor: str
) -> None:
    """Set the named fields of resources; those that are new are made.

    Who began or ended to keep one on purpose is noted in the audit log.
    """
    # A directory of its own: the writer's remembers resources that have a usage.
    directory = Directory()
    org_id = directory.organization(db, org)
    columns: defaultdict[str, list[tuple[object, int]]] = defaultdict(list)
    versions = list[tuple[int, str, int]]()
    for entry in entries:
        resource = directory.resources(db, org_id, entry.type)[entry.id]
        if entry.keep is not UNSET and _changes_keep(db, resource, keep=entry.keep):
            which = f"{entry.type}/{entry.id}"
            told = "kept" if entry.keep else "not kept"
            note_act(db, org, actor, AuditAction.RESOURCE_KEEP, target=which, detail=told)
        for name, value in _named(entry).items():
            columns[name].append((value, resource))
        if isinstance(entry.version, str) and isinstance(entry.published_at, datetime):
            versions.append((resource, entry.version, to_micros(entry.published_at)))
    for name, values in columns.items():
        db.executemany(_SET[name], values)
    db.executemany(_NOTE_VERSION, versions)


def _changes_keep(db: sqlite3.Connection, resource: int, *, keep: bool) -> bool:
    (kept,) = db.execute("SELECT keep FROM resource WHERE id = ?", (resource,)).fetchone()
    return bool(kept) != keep


def find_catalogued(
    db: sqlite3.Connection, org: str, resource_type: ResourceType, resource_ids: Sequence[str]
) -> dict[str, CataloguedResource]:
    """What is known of those of the resources that are known, by ``resource_id``."""
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return {}
    wanted = msgspec.json.encode(resource_ids).decode()
    known = db.execute(_READ, (wanted, found[0], resource_type)).fetchall()
    resources = msgspec.json.encode([resource for resource, *_ in known]).decode()
    versions: defaultdict[int, list[PublishedVersion]] = defaultdict(list)
    for resource, version, published_at in db.execute(_READ_VERSIONS, (resources,)):
        versions[resource].append(PublishedVersion(version, from_micros(published_at)))
    return {
        resource_id: CataloguedResource(
            name=name,
            version=version,
            url=url,
            published_at=None if published_at is None else from_micros(published_at),
            keep=bool(keep),
            versions=versions[resource],
        )
        for resource, resource_id, name, version, url, published_at, keep in known
    }


def _named(entry: CatalogueEntry) -> dict[str, object]:
    """The columns that an entry sets: that it is catalogued, and the fields that it names."""
    named: dict[str, object] = {"catalogued": True}
    for name, column in _COLUMN_OF.items():
        value = getattr(entry, name)
        if value is not UNSET:
            named[column] = to_micros(value) if isinstance(value, datetime) else value
    return named


_COLUMN_OF = {
    "name": "catalogue_name",
    "version": "version",
    "url": "url",
    "published_at": "published_at",
    "keep": "keep",
}
_SET = {
    column: f"UPDATE resource SET {column} = ? WHERE id = ?"  # noqa: S608 (names of our own)
    for column in ("catalogued", *_COLUMN_OF.values())
}
# Published again under the same name, a version was published at the newer statement's time.
_NOTE_VERSION = """
REPLACE INTO published_version (resource, version, published_at) VALUES (?, ?, ?)
"""
_READ = """
SELECT resource.id, resource_id, ifnull(catalogue_name, name), version, url, published_at, keep
FROM json_each(?1) AS wanted CROSS JOIN resource
WHERE org = ?2 AND resource.type = ?3 AND resource_id = wanted.value
"""
_READ_VERSIONS = """
SELECT resource, version, published_at
FROM json_each(?1) AS wanted CROSS JOIN published_version
WHERE resource = wanted.value ORDER BY resource, published_at, version
"""
