"""Sessions of the dashboard: which key each is of, under the SHA-256 of its token."""

import secrets
from datetime import datetime

from applyrate.keys import ApiKey
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.keys import key_by_id
from applyrate.store.clickhouse.rows import to_micros


def add_session(
    db: Operation, digest: bytes, key_id: str, now: datetime, expires_at: datetime
) -> None:
    """Store a new session, and forget those that have expired, a few at once."""
    expired = {"now": to_micros(now)}
    if db.rows(_ANY_EXPIRED, expired)[0][0] > _EXPIRED_KEPT:
        db.delete(
            "session_end", "digest IN (SELECT digest FROM session WHERE " + _EXPIRED + ")", expired
        )
        db.delete("session", _EXPIRED, expired)
    db.insert(
        "session_all", "digest key_id expires_at", [(digest.hex(), key_id, to_micros(expires_at))]
    )


def find_session(db: Operation, digest: bytes, now: datetime) -> ApiKey | None:
    """The key of a session that has not ended, as long as it is valid itself."""
    rows = db.rows(_FIND, {"digest": digest.hex(), "now": to_micros(now)})
    key = key_by_id(db, rows[0][0]) if rows else None
    return key if key is not None and key.valid_at(now) else None


def end_session(db: Operation, digest: bytes) -> bool:
    """End a session; whether there was one, and nobody else ended it.

    Of several who end it at the same moment one is told so, or none: whoever comes last sees the
    others.
    """
    which = {"digest": digest.hex()}
    if not db.rows(_THERE, which):
        return False
    ended_by = secrets.token_hex(16)
    db.insert("session_end_all", "digest ended_by", [(digest.hex(), ended_by)])
    return [one for (one,) in db.rows(_ENDED_BY, which)] == [ended_by]


_EXPIRED_KEPT = 1_000
_EXPIRED = "expires_at <= {now:Int64}"
_ANY_EXPIRED = f"SELECT count() FROM session_all WHERE {_EXPIRED}"
_FIND = """
SELECT key_id FROM session_all WHERE digest = {digest:String} AND expires_at > {now:Int64}
  AND digest NOT IN (SELECT digest FROM session_end WHERE digest = {digest:String})
LIMIT 1
"""
_THERE = """
SELECT 1 FROM session_all WHERE digest = {digest:String}
  AND digest NOT IN (SELECT digest FROM session_end WHERE digest = {digest:String})
LIMIT 1
"""
_ENDED_BY = "SELECT DISTINCT ended_by FROM session_end_all WHERE digest = {digest:String}"
