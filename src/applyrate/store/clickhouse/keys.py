"""API keys: what is known of each, under the SHA-256 of it."""

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from applyrate.keys import ApiKey
from applyrate.store.clickhouse.audit import note_act
from applyrate.store.clickhouse.cluster import Operation, Row
from applyrate.store.clickhouse.rows import from_micros, to_micros
from applyrate.usage import AuditAction

KNOWN_SECONDS: Final = 5
"""How long a key that was found is not looked for again: so much later another node's revocation
is seen at the latest."""

_FULL_ACCESS: Final = "*"
_MOST_KNOWN: Final = 10_000


class KnownKeys:
    """Keys that were found a moment ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = dict[bytes, tuple[float, ApiKey]]()

    def find(self, db: Operation, digest: bytes) -> ApiKey | None:
        """The key of a SHA-256."""
        now = time.monotonic()
        with self._lock:
            until, key = self._known.get(digest, (now, None))
            if key is not None and now < until:
                return key
            self._known.pop(digest, None)
        found = find_key(db, digest)
        with self._lock:
            if found is not None and len(self._known) < _MOST_KNOWN:
                self._known[digest] = now + KNOWN_SECONDS, found
            elif found is not None:
                self._known.clear()
        return found

    def forget(self) -> None:
        """Look for each again."""
        with self._lock:
            self._known.clear()


def add_key(db: Operation, key: ApiKey, digest: bytes, actor: str) -> None:
    """Store a new key, and who made it."""
    db.insert(
        "api_key_all",
        "key_id digest org name hint scopes created_at last_used_at expires_at revoked_at",
        [
            (
                *(key.key_id, digest.hex(), key.org, key.name, key.hint),
                _FULL_ACCESS if key.scopes is None else " ".join(key.scopes),
                to_micros(key.created_at),
                *map(_micros, (key.last_used_at, key.expires_at, key.revoked_at)),
            )
        ],
    )
    access = "full access" if key.scopes is None else ", ".join(key.scopes)
    told = f"{key.name}: {access}"
    note_act(db, key.org, actor, AuditAction.KEY_CREATE, target=key.key_id, detail=told)


def find_key(db: Operation, digest: bytes) -> ApiKey | None:
    """The key of a SHA-256."""
    rows = db.rows(_FIND, {"digest": digest.hex()})
    return _key(rows[0]) if rows else None


def key_by_id(db: Operation, key_id: str) -> ApiKey | None:
    """The key of an id, valid or not."""
    rows = db.rows(_BY_ID, {"key_id": key_id})
    return _key(rows[0]) if rows else None


def keys_of(db: Operation, org: str) -> list[ApiKey]:
    """An organization's keys, oldest first."""
    return [_key(row) for row in db.rows(_LIST, {"org": org})]


def revoke_key(
    db: Operation, org: str, key_id: str, revoked_at: datetime, actor: str
) -> ApiKey | None:
    """Revoke a key, and note who did; one that is revoked stays as it is."""
    key = key_by_id(db, key_id)
    if key is None or key.org != org:
        return None
    if key.revoked_at is None:
        db.insert("api_key_all", "key_id revoked_at", [(key_id, to_micros(revoked_at))])
        note_act(db, org, actor, AuditAction.KEY_REVOKE, target=key_id, detail=key.name)
    return key_by_id(db, key_id)


def mark_keys_used(db: Operation, last_used_at: Mapping[str, datetime]) -> None:
    """Note when keys were last used, of those that there are."""
    rows = db.rows(_THOSE, {"ids": list(last_used_at)}) if last_used_at else ()
    there = {key_id for (key_id,) in rows}
    db.insert(
        "api_key_all",
        "key_id last_used_at",
        [(one, to_micros(at)) for one, at in last_used_at.items() if one in there],
    )


def _key(row: Row) -> ApiKey:
    key_id, org, name, hint, scopes, created_at, *times = row
    last_used_at, expires_at, revoked_at = (None if at is None else from_micros(at) for at in times)
    return ApiKey(
        key_id=key_id,
        org=org,
        name=name,
        hint=hint,
        scopes=None if scopes == _FULL_ACCESS else tuple(scopes.split()),
        created_at=from_micros(created_at),
        last_used_at=last_used_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


_KEY = """
SELECT key_id, max(org) AS of, max(name), max(hint), max(scopes), max(created_at) AS made_at,
       max(last_used_at), max(expires_at), min(revoked_at)
FROM api_key_all
"""
_FIND = f"""
{_KEY} WHERE key_id IN (SELECT key_id FROM api_key WHERE digest = {{digest:String}})
GROUP BY key_id
"""
_BY_ID = f"{_KEY} WHERE key_id = {{key_id:String}} GROUP BY key_id"
_LIST = f"{_KEY} GROUP BY key_id HAVING of = {{org:String}} ORDER BY made_at, key_id"
_THOSE = "SELECT DISTINCT key_id FROM api_key_all WHERE key_id IN {ids:Array(String)}"
