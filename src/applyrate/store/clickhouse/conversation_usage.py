"""One conversation: what is known of it, and what each of its replies had and applied."""

from collections.abc import Mapping, Sequence

from applyrate.store.clickhouse.claims import COUNTED
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.facts import EVERY_FACT, Known, read_facts
from applyrate.store.clickhouse.reply_usages import Used, read_reply_usages
from applyrate.store.clickhouse.rows import Numbers, from_micros
from applyrate.usage import Conversation, ReplyUsage, ResourceType, UsageKind


def read_conversation(
    db: Operation, numbers: Numbers, org: str, session_id: str
) -> Conversation | None:
    """A conversation with its replies in the order of their times, ties by ``reply_id``."""
    conversation = numbers.conversation(session_id)
    known = read_facts(db, org, [conversation], EVERY_FACT).get(conversation)
    replies = db.rows(_REPLIES, {"org": org, "conversation": conversation})
    if known is None and not replies:
        return None
    known = known or Known()
    used = read_reply_usages(db, org, [(at, reply) for at, _, reply in replies])
    return Conversation(
        session_id=session_id,
        ticket_number=known.ticket_number,
        last_message=known.last_message,
        handed_off_at=None if known.handed_off_at is None else from_micros(known.handed_off_at),
        status=known.status,
        csat=known.csat,
        replies=[
            ReplyUsage(
                reply_id,
                from_micros(at),
                _by_type(used[reply], UsageKind.AVAILABLE),
                _by_type(used[reply], UsageKind.APPLIED),
            )
            for at, reply_id, reply in replies
        ],
    )


def _by_type(used: Sequence[Used], kind: UsageKind) -> Mapping[ResourceType, Sequence[str]]:
    """The ids by type, an action once for each invocation; a type without any is there, too."""
    ids: dict[ResourceType, list[str]] = {resource_type: [] for resource_type in ResourceType}
    for one in used:
        if one.kind is kind:
            ids[one.resource_type] += [one.resource_id] * one.count
    return ids


_REPLIES = f"""
SELECT DISTINCT replied_at, reply_id, reply FROM reply_all
WHERE org = {{org:String}} AND conversation = {{conversation:UInt64}} AND {COUNTED}
ORDER BY replied_at, reply_id
"""
