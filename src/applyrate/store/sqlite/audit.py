"""The audit log: who did what, written with the act where both are in this file."""

import sqlite3
import time

from applyrate.store.sqlite.rows import from_micros
from applyrate.usage import AuditAction, AuditEntry, AuditPosition, Page


def note_act(
    db: sqlite3.Connection,
    org: str,
    actor: str,
    action: AuditAction,
    *,
    target: str | None = None,
    detail: str | None = None,
) -> None:
    """Note an act in its own transaction."""
    db.execute(_ADD, (org, now_micros(), actor, action, target, detail))


def list_acts(
    db: sqlite3.Connection, org: str, limit: int, after: AuditPosition | None
) -> Page[AuditEntry, AuditPosition]:
    """A page of an organization's log, newest first."""
    before = 2**62 if after is None else after.entry_id
    rows = db.execute(_LIST, (org, before, limit + 1)).fetchall()
    items = [
        AuditEntry(
            at=from_micros(at),
            actor=actor,
            action=AuditAction(action),
            target=target,
            detail=detail,
        )
        for _, at, actor, action, target, detail in rows[:limit]
    ]
    return Page(items, AuditPosition(rows[limit - 1][0]) if len(rows) > limit else None)


def now_micros() -> int:
    """The present time in microseconds."""
    return time.time_ns() // 1_000


_ADD = "INSERT INTO audit (org, at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?, ?)"
_LIST = """
SELECT id, at, actor, action, target, detail FROM audit
WHERE org = ? AND id < ? ORDER BY id DESC LIMIT ?
"""
