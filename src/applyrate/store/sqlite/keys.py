"""API keys in the file: what is known of each, under the SHA-256 of it."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from applyrate.keys import ApiKey
from applyrate.store.sqlite.audit import note_act
from applyrate.store.sqlite.rows import from_micros, to_micros
from applyrate.usage import AuditAction


def add_key(db: sqlite3.Connection, key: ApiKey, digest: bytes, actor: str) -> None:
    """Store a new key, and who made it."""
    db.execute(
        _ADD,
        (
            *(key.key_id, key.org, key.name, key.hint),
            None if key.scopes is None else " ".join(key.scopes),
            to_micros(key.created_at),
            *map(_micros, (key.last_used_at, key.expires_at, key.revoked_at)),
            digest,
        ),
    )
    access = "full access" if key.scopes is None else ", ".join(key.scopes)
    told = f"{key.name}: {access}"
    note_act(db, key.org, actor, AuditAction.KEY_CREATE, target=key.key_id, detail=told)


def find_key(db: sqlite3.Connection, digest: bytes) -> ApiKey | None:
    """The key of a SHA-256."""
    row = db.execute(_FIND, (digest,)).fetchone()
    return _key(row) if row else None


def key_by_id(db: sqlite3.Connection, key_id: str) -> ApiKey | None:
    """The key of an id, valid or not."""
    row = db.execute(_BY_ID, (key_id,)).fetchone()
    return _key(row) if row else None


def keys_of(db: sqlite3.Connection, org: str) -> list[ApiKey]:
    """An organization's keys, oldest first."""
    return [_key(row) for row in db.execute(_LIST, (org,))]


def revoke_key(
    db: sqlite3.Connection, org: str, key_id: str, revoked_at: datetime, actor: str
) -> ApiKey | None:
    """Revoke a key, and note who did; one that is revoked stays as it is."""
    row = db.execute(_REVOKE, (to_micros(revoked_at), org, key_id)).fetchone()
    if row is not None:
        note_act(db, org, actor, AuditAction.KEY_REVOKE, target=key_id, detail=row[2])
    else:
        row = db.execute(_OF_ORG, (org, key_id)).fetchone()
    return _key(row) if row else None


def mark_keys_used(db: sqlite3.Connection, last_used_at: Mapping[str, datetime]) -> None:
    """Note when keys were last used."""
    db.executemany(
        _MARK_USED,
        [(to_micros(at), key_id) for key_id, at in last_used_at.items()],
    )


def _key(row: tuple[Any, ...]) -> ApiKey:
    key_id, org, name, hint, scopes, created_at, *times = row
    last_used_at, expires_at, revoked_at = (None if at is None else from_micros(at) for at in times)
    return ApiKey(
        key_id=key_id,
        org=org,
        name=name,
        hint=hint,
        scopes=None if scopes is None else tuple(scopes.split()),
        created_at=from_micros(created_at),
        last_used_at=last_used_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


_ADD = """
INSERT INTO api_key
    (key_id, org, name, hint, scopes, created_at, last_used_at, expires_at, revoked_at, digest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND = """
SELECT key_id, org, name, hint, scopes, created_at, last_used_at, expires_at, revoked_at
FROM api_key WHERE digest = ?
"""
_BY_ID = """
SELECT key_id, org, name, hint, scopes, created_at, last_used_at, expires_at, revoked_at
FROM api_key WHERE key_id = ?
"""
_LIST = """
SELECT key_id, org, name, hint, scopes, created_at, last_used_at, expires_at, revoked_at
FROM api_key WHERE org = ? ORDER BY created_at, key_id
"""
_REVOKE = """
UPDATE api_key SET revoked_at = ? WHERE org = ? AND key_id = ? AND revoked_at IS NULL
RETURNING key_id, org, name, hint, scopes, created_at, last_used_at, expires_at, revoked_at
"""
_OF_ORG = """
SELECT key_id, org, name, hint, scopes, created_at, last_used_at, expires_at, revoked_at
FROM api_key WHERE org = ? AND key_id = ?
"""
_MARK_USED = """
UPDATE api_key SET last_used_at = max(ifnull(last_used_at, ?1), ?1) WHERE key_id = ?2
"""
