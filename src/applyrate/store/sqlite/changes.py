"""Changes: which resources gained or lost usages since a version.

Every commit that records or erases gives the usages the next version, whichever process makes it,
and commits follow one another. So whoever asks for what changed since the version of the last
answer misses nothing, through restarts too.
"""

import sqlite3

from applyrate.store.sqlite.directory import FIND_ORGANIZATION
from applyrate.store.sqlite.rows import ordinal_range
from applyrate.usage import Changes, ResourceType

_BEFORE_THE_FIRST = 0


def read_changes(db: sqlite3.Connection, org: str, after: int | None) -> Changes:
    """The present version, and what changed since the one named.

    A version that is newer than the present one is of another file, of which this one may be an
    older copy: everything may have changed.
    """
    (version,) = db.execute(_VERSION).fetchone()
    if after is None or after == version:
        return Changes(version, [])
    found = db.execute(FIND_ORGANIZATION, (org,)).fetchone()
    if found is None:
        return Changes(version, [])
    since = after if after < version else _BEFORE_THE_FIRST
    changed = db.execute(_CHANGED, (*ordinal_range(found[0]), since, found[0]))
    return Changes(version, [(ResourceType(name), resource_id) for name, resource_id in changed])


_VERSION = "SELECT number FROM usage_version"
_CHANGED = """
SELECT type, resource_id
FROM usage_total CROSS JOIN resource ON resource.id = usage_total.resource
WHERE kind IN (0, 1) AND resource BETWEEN ?1 AND ?2 AND usage_total.version > ?3
UNION SELECT type, resource_id FROM emptied WHERE org = ?4 AND version > ?3
ORDER BY type, resource_id
"""
