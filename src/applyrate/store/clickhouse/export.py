"""Exporting: every usage as a row, in the order of the replies' times, a part at a time."""

from collections.abc import Iterator

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.reply_usages import read_reply_usages
from applyrate.store.clickhouse.rows import from_micros, inside, now_micros
from applyrate.usage import UsageRow, Window

_PART = 1_000
"""The replies read at once. Their usages are what an export holds in memory."""


def export_usages(db: Operation, org: str, window: Window) -> Iterator[UsageRow]:
    """Every usage in the window, of the replies that there are when the first is asked for.

    A reply that came later is told by the time of its claim.
    """
    values = {"org": org, **inside(window), "began_at": now_micros(), "part": _PART}
    place = {"at": values["start"], "id": ""}
    while True:
        replies = db.rows(_REPLIES, values | place)
        used = read_reply_usages(db, org, [(at, reply) for at, _, reply, _ in replies])
        for at, reply_id, reply, session_id in replies:
            for one in used[reply]:
                yield UsageRow(
                    from_micros(at),
                    reply_id,
                    session_id,
                    one.resource_type,
                    one.resource_id,
                    one.kind,
                    one.count,
                )
        if len(replies) < _PART:
            return
        at, reply_id, *_ = replies[-1]
        place = {"at": at, "id": reply_id}


_REPLIES = f"""
SELECT DISTINCT replied_at, reply_id, reply, session_id FROM reply_all
WHERE org = {{org:String}} AND replied_at >= {{at:Int64}} AND replied_at < {{end:Int64}}
  AND (replied_at, reply_id) > ({{at:Int64}}, {{id:String}})
  AND claimed_at < {{began_at:Int64}} AND {COUNTED}
ORDER BY replied_at, reply_id LIMIT {{part:UInt32}}
"""
