"""Claims: which conversation and time a reply has, settled between senders who race.

A reply is claimed before its usages are written, and what was claimed is read again: of two who
claim at the same moment, the one whose claim arrived last sees both. The earliest claim wins.
Whoever sees that others lost notes their replies as disowned before it writes anything, so that no
usage of theirs is ever counted, whether it is there already or comes later. So of two claims no
more than one is counted, whoever is cut off and wherever.

Where two recordings overlap in time that give one reply different conversations or times, the one
that is answered first may be told that it was recorded, and lose all the same. Who was recorded
before another began always wins: the other sees its claim and makes none.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import Numbers, from_micros, now_micros
from applyrate.usage import RecordedReply

PART = 5_000
"""How many ids a query names at once."""


class Claim(Struct, frozen=True):
    """The conversation and the time of a reply, and when it was claimed, in microseconds."""

    session_id: str
    replied_at: int
    claimed_at: int = 0

    def agrees(self, other: "Claim") -> bool:
        """Whether both say the same of the reply, whenever they do."""
        return (self.session_id, self.replied_at) == (other.session_id, other.replied_at)


def find_claims(
    db: Operation, numbers: Numbers, org: str, reply_ids: Sequence[str]
) -> dict[str, Claim]:
    """The claims that won, by ``reply_id``, of those of the replies that have any."""
    won = dict[str, Claim]()
    lost = list[tuple[str, Claim]]()
    for first in range(0, len(reply_ids), PART):
        part = reply_ids[first : first + PART]
        for reply_id, *said in db.rows(_FIND, {"org": org, "reply_ids": part}):
            claim = Claim(*said)
            if not won.setdefault(reply_id, claim).agrees(claim):
                lost.append((reply_id, claim))
    db.insert(
        "disowned_all",
        "org conversation replied_at reply",
        [
            (org, numbers.conversation(claim.session_id), claim.replied_at, numbers.reply(reply_id))
            for reply_id, claim in lost
        ],
    )
    return won


def claim_replies(
    db: Operation, numbers: Numbers, org: str, claims: Mapping[str, Claim]
) -> dict[str, Claim]:
    """Claim replies that nobody was seen to have claimed; the claims that won."""
    if not claims:
        return {}
    now = now_micros()
    db.insert(
        "claim_all",
        "org reply_id claimed_at session_id replied_at reply",
        [
            (org, reply_id, now, claim.session_id, claim.replied_at, numbers.reply(reply_id))
            for reply_id, claim in claims.items()
        ],
    )
    return find_claims(db, numbers, org, list(claims))


def find_replies(
    db: Operation, numbers: Numbers, org: str, reply_ids: Sequence[str]
) -> dict[str, RecordedReply]:
    """What the first record of each reply fixed, by ``reply_id``."""
    claims = find_claims(db, numbers, org, list(dict.fromkeys(reply_ids)))
    return {
        reply_id: RecordedReply(claim.session_id, from_micros(claim.replied_at))
        for reply_id, claim in claims.items()
    }


_FIND = """
SELECT reply_id, session_id, replied_at, claimed_at FROM claim_all
WHERE org = {org:String} AND reply_id IN {reply_ids:Array(String)}
ORDER BY reply_id, claimed_at, session_id, replied_at
"""
COUNTED = """
(conversation, replied_at, reply) NOT IN
    (SELECT conversation, replied_at, reply FROM disowned WHERE org = {org:String})
"""
"""The condition of every query that counts: nothing of a claim that lost."""
