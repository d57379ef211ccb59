"""Resources that lost their last usage: those that only usages made known go with it."""

import sqlite3
from collections.abc import Iterable

from applyrate.store.sqlite.ids import retire
from applyrate.store.sqlite.rows import resource_range
from applyrate.usage import ResourceType


def note_emptied(db: sqlite3.Connection, resources: Iterable[int]) -> None:
    """Note of resources (ids) that they have no usage of one kind any more, or of either.

    Whoever follows the changes is told. One without any usage loses the name that came with them,
    and is gone unless it is catalogued.
    """
    for resource in set(resources):
        db.execute(_NOTE, (resource,))
        if db.execute(_ANY_USAGE, (resource,)).fetchone():
            continue
        org, type_name, catalogued = db.execute(_READ, (resource,)).fetchone()
        if catalogued:
            db.execute("UPDATE resource SET name = NULL WHERE id = ?", (resource,))
        else:
            db.execute("DELETE FROM resource WHERE id = ?", (resource,))
            first, _ = resource_range(org, ResourceType(type_name))
            retire(db, "resource", first, resource)
        db.execute("UPDATE resource_removal SET number = number + 1")


_NOTE = """
REPLACE INTO emptied (org, type, resource_id, version)
SELECT org, type, resource_id, number FROM resource JOIN usage_version WHERE resource.id = ?
"""
_ANY_USAGE = "SELECT 1 FROM usage_total WHERE kind IN (0, 1) AND resource = ? LIMIT 1"
_READ = "SELECT org, type, catalogued FROM resource WHERE id = ?"
