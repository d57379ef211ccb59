"""The audit log: who did what."""

import secrets
import threading

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import from_micros, now_micros
from applyrate.usage import AuditAction, AuditEntry, AuditPosition, Page

_TELLING_BITS = 10
_lock = threading.Lock()
_last_id = 0


def new_entry_id() -> int:
    """An id that is greater than those this process gave before: the time, and ten random bits."""
    global _last_id  # noqa: PLW0603 (one sequence for all stores of the process)
    with _lock:
        entry_id = now_micros() << _TELLING_BITS | secrets.randbits(_TELLING_BITS)
        _last_id = max(entry_id, _last_id + 1)
        return _last_id


def note_act(
    db: Operation,
    org: str,
    actor: str,
    action: AuditAction,
    *,
    target: str | None = None,
    detail: str | None = None,
) -> None:
    """Note an act."""
    row = (org, new_entry_id(), actor, action.value, target, detail)
    db.insert("audit_all", "org entry_id actor action target detail", [row])


def list_acts(
    db: Operation, org: str, limit: int, after: AuditPosition | None
) -> Page[AuditEntry, AuditPosition]:
    """A page of an organization's log, newest first."""
    before = 2**62 if after is None else after.entry_id
    rows = db.rows(_LIST, {"org": org, "before": before, "limit": limit + 1})
    items = [
        AuditEntry(
            at=from_micros(entry_id >> _TELLING_BITS),
            actor=actor,
            action=AuditAction(action),
            target=target,
            detail=detail,
        )
        for entry_id, actor, action, target, detail in rows[:limit]
    ]
    return Page(items, AuditPosition(rows[limit - 1][0]) if len(rows) > limit else None)


_LIST = """
SELECT DISTINCT entry_id, actor, action, target, detail FROM audit_all
WHERE org = {org:String} AND entry_id < {before:Int64} ORDER BY entry_id DESC
LIMIT {limit:UInt32}
"""
