"""Sessions of the dashboard in the file: which key each is of, under the SHA-256 of its token."""

import sqlite3
from datetime import datetime

from applyrate.keys import ApiKey
from applyrate.store.sqlite.keys import key_by_id
from applyrate.store.sqlite.rows import to_micros


def add_session(
    db: sqlite3.Connection, digest: bytes, key_id: str, now: datetime, expires_at: datetime
) -> None:
    """Store a new session, and forget those that have expired."""
    db.execute(_FORGET, (to_micros(now),))
    db.execute(_ADD, (digest, key_id, to_micros(expires_at)))


def find_session(db: sqlite3.Connection, digest: bytes, now: datetime) -> ApiKey | None:
    """The key of a session that has not ended, as long as it is valid itself."""
    row = db.execute(_FIND, (digest, to_micros(now))).fetchone()
    key = key_by_id(db, row[0]) if row else None
    return key if key is not None and key.valid_at(now) else None


def end_session(db: sqlite3.Connection, digest: bytes) -> bool:
    """End a session; whether there was one."""
    return db.execute(_END, (digest,)).rowcount > 0


_FORGET = """
DELETE FROM session WHERE expires_at <= ?
"""
_ADD = """
INSERT INTO session (digest, key_id, expires_at) VALUES (?, ?, ?)
"""
_FIND = """
SELECT key_id FROM session WHERE digest = ? AND expires_at > ?
"""
_END = """
DELETE FROM session WHERE digest = ?
"""
