"""Retention: how long an organization's replies are kept, and the removal of those that are older.

Replies go by their own age and in the order of their times, at most so many at once. A conversation
goes with its last reply.
"""

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.facts import delete_facts
from applyrate.store.clickhouse.removing import remove_replies
from applyrate.store.clickhouse.rows import DAY, SINCE_EVER, now_micros
from applyrate.usage import FOREVER, Keeping


def oldest_kept(db: Operation, org: str, keeping: Keeping) -> int:
    """The first moment that an organization keeps now, in microseconds: the start of a UTC day."""
    days = retention_days(db, org)
    kept = keeping.days if days is None else days
    return SINCE_EVER if kept == FOREVER else (now_micros() // DAY - kept) * DAY


def retention_days(db: Operation, org: str) -> int | None:
    """The days that an organization set for itself; None where it set none."""
    rows = db.rows(_DAYS, {"org": org})
    return None if not rows or rows[0][0] is None else int(rows[0][0])


def set_retention(db: Operation, org: str, days: int | None) -> None:
    """Set the days of an organization; None for those of the settings."""
    ((newest,),) = db.rows(_NEWEST, {"org": org})
    set_at = max(now_micros(), newest + 1)
    db.insert("retention_all", "org set_at days", [(org, set_at, days)])


def has_expired(db: Operation, org: str, before: int) -> bool:
    """Whether an organization has anything that is older than a moment."""
    values = {"org": org, "before": before, "limit": 1}
    return bool(db.rows(_OLD, values) or db.rows(_SILENT, values))


def expire(db: Operation, org: str, before: int, limit: int) -> int:
    """Remove up to ``limit`` replies from before a moment, the oldest first; how many were removed.

    Once there are none, conversations go that never had a reply, and count in their place.
    """
    values = {"org": org, "before": before, "limit": limit}
    replies = db.rows(_OLD, values)
    if not replies:
        silent = [conversation for (conversation,) in db.rows(_SILENT, values)]
        delete_facts(db, org, silent)
        return len(silent)
    touched = sorted({conversation for _, _, conversation in replies})
    # What is known of conversations goes first: once their replies are gone, nobody finds them.
    keep = {"org": org, "conversations": touched, "replies": [reply for _, reply, _ in replies]}
    others = {conversation for (conversation,) in db.rows(_WITH_OTHERS, keep)}
    delete_facts(db, org, [one for one in touched if one not in others])
    if others:
        values = {"org": org, "conversations": sorted(others), "before": before}
        db.delete("fact", _SAID_BEFORE, values)
    remove_replies(db, org, [reply for _, reply, _ in replies])
    return len(replies)


_DAYS = """
SELECT days FROM retention_all WHERE org = {org:String} ORDER BY set_at DESC LIMIT 1
"""
_NEWEST = "SELECT max(set_at) FROM retention_all WHERE org = {org:String}"
_OLD = """
SELECT DISTINCT replied_at, reply, conversation FROM reply_all
WHERE org = {org:String} AND replied_at < {before:Int64} ORDER BY replied_at, reply
LIMIT {limit:UInt32}
"""
# Of a conversation that became known twice the earlier time is the greater, since it is negative.
_SILENT = """
SELECT conversation FROM fact_all
WHERE org = {org:String} AND fact = 'known'
  AND conversation NOT IN (SELECT conversation FROM reply WHERE org = {org:String})
GROUP BY conversation HAVING max(tupleElement(said, 'at')) > negate({before:Int64})
LIMIT {limit:UInt32}
"""
_WITH_OTHERS = """
SELECT DISTINCT conversation FROM reply_all
WHERE org = {org:String} AND conversation IN {conversations:Array(UInt64)}
  AND reply NOT IN {replies:Array(UInt64)}
"""
_SAID_BEFORE = """
org = {org:String} AND fact IN ('ticket_number', 'last_message') AND source = 'reply'
AND tupleElement(said, 'at') < {before:Int64} AND conversation IN {conversations:Array(UInt64)}
"""
