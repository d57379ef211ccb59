"""Browsing: the conversations that used a resource, newest use first.

Each shard orders its own and gives its part of the page. Ties are broken by ``session_id``, which
is looked up for the page alone; so all that tie with its last row come along.
"""

from collections.abc import Sequence

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation, Row
from applyrate.store.clickhouse.counting import OF_EACH_SHARD
from applyrate.store.clickhouse.facts import Known, read_facts
from applyrate.store.clickhouse.rows import from_micros, inside, to_micros
from applyrate.usage import (
    ConversationPosition,
    ConversationUsage,
    Page,
    ResourceType,
    UsageKind,
    Window,
)


def list_conversations(
    db: Operation,
    org: str,
    resource_type: ResourceType,
    resource_id: str,
    window: Window,
    kind: UsageKind,
    limit: int,
    after: ConversationPosition | None,
    *,
    unapplied: bool,
) -> Page[ConversationUsage, ConversationPosition]:
    """A page of the conversations, without their messages' texts where none is kept."""
    values = {
        "org": org,
        "type": resource_type.value,
        "id": resource_id,
        "kind": kind.value,
        "unapplied": unapplied,
        "limit": limit + 1,
        **inside(window),
    }
    found = list[Row]()
    if after is None:
        found += db.rows(_LIST, values | {"passed": values["end"]})
    else:
        passed = to_micros(after.last_used_at)
        found += db.rows(_TIED, values | {"passed": passed})
        found += db.rows(_LIST, values | {"passed": passed})
    session_ids = _read_session_ids(db, org, found)
    rows = sorted(
        (-last_at, session_ids[conversation], first_at, reply_count, conversation)
        for conversation, reply_count, first_at, last_at in found
    )
    if after is not None:
        place = -to_micros(after.last_used_at), after.session_id
        rows = [row for row in rows if row[:2] > place]
    page = rows[:limit]
    known = read_facts(
        db, org, [conversation for *_, conversation in page], ("ticket_number", "last_message")
    )
    items = [
        ConversationUsage(
            session_id=session_id,
            reply_count=reply_count,
            ticket_number=(of := known.get(conversation, Known())).ticket_number,
            last_message=of.last_message,
            first_used_at=from_micros(first_at),
            last_used_at=from_micros(-before),
        )
        for before, session_id, first_at, reply_count, conversation in page
    ]
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, ConversationPosition(items[-1].last_used_at, items[-1].session_id))


def _read_session_ids(db: Operation, org: str, found: Sequence[Row]) -> dict[int, str]:
    if not found:
        return {}
    uses = [(last_at, conversation) for conversation, _, _, last_at in found]
    return dict(db.rows(_SESSION_IDS, {"org": org, "uses": uses}))


_USED = f"""
SELECT conversation, uniqExact((replied_at, reply)), min(replied_at), max(replied_at) AS last_at
FROM usage_all
WHERE org = {{org:String}} AND resource_type = {{type:String}} AND resource_id = {{id:String}}
  AND kind = {{kind:String}}
  AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
  AND NOT ({{unapplied:Bool}} AND conversation IN (
    SELECT conversation FROM usage
    WHERE org = {{org:String}} AND resource_type = {{type:String}} AND resource_id = {{id:String}}
      AND kind = 'applied' AND {{unapplied:Bool}}
      AND replied_at >= {{start:Int64}} AND replied_at < {{end:Int64}} AND {COUNTED}
  ))
GROUP BY conversation
"""
_LIST = f"""
{_USED} HAVING last_at < {{passed:Int64}}
ORDER BY last_at DESC LIMIT {{limit:UInt32}} WITH TIES {OF_EACH_SHARD}
"""
_TIED = f"""
{_USED} HAVING last_at = {{passed:Int64}} {OF_EACH_SHARD}
"""
_SESSION_IDS = """
SELECT conversation, any(session_id) FROM reply_all
WHERE org = {org:String} AND (replied_at, conversation) IN {uses:Array(Tuple(Int64, UInt64))}
GROUP BY conversation
"""
