"""Facts: what is known of conversations, as it was set for them and as their replies said it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct
from msgspec.structs import asdict, replace

from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import Numbers, now_micros, to_micros
from applyrate.store.clickhouse.tombstones import find_erased
from applyrate.usage import ConversationFacts


class Source(StrEnum):
    """Who said it. What was set for a conversation wins, whatever order the two arrive in."""

    REPLY = "reply"
    SET = "set"


class Said(NamedTuple):
    """A value, and since when it holds; of two the greater holds. None: that there is no value."""

    at: int
    is_given: int
    number: int
    score: float
    text: str

    @classmethod
    def of(cls, at: int, value: object) -> "Said":
        """What says a value of any fact."""
        if isinstance(value, str):
            return cls(at, 1, 0, 0, value)
        if isinstance(value, float):
            return cls(at, 1, 0, value, "")
        return cls(at, int(value is not None), value if isinstance(value, int) else 0, 0, "")


class Statement(NamedTuple):
    """That something was said of a conversation."""

    session_id: str
    fact: str
    source: Source
    said: Said


def say(db: Operation, numbers: Numbers, org: str, statements: Iterable[Statement]) -> None:
    """Add what was said. Of each conversation, fact and source the greatest holds."""
    greatest = dict[tuple[str, str, Source], Said]()
    for session_id, fact, source, said in statements:
        which = session_id, fact, source
        greatest[which] = max(said, greatest.get(which, said))
    db.insert(
        "fact_all",
        "org fact conversation source session_id said",
        [
            (org, fact, numbers.conversation(session_id), source.value, session_id, tuple(said))
            for (session_id, fact, source), said in greatest.items()
        ],
    )


def set_facts(
    db: Operation, numbers: Numbers, org: str, facts: Mapping[str, ConversationFacts]
) -> list[str]:
    """Set the named facts of conversations by ``session_id``, newer than all that were set.

    Those that were erased are left alone, and returned.
    """
    erased = find_erased(db, numbers, org, facts)
    facts = {session_id: known for session_id, known in facts.items() if session_id not in erased}
    if not facts:
        return sorted(erased)
    version = _next_version(db, numbers, org, list(facts))
    say(
        db,
        numbers,
        org,
        (
            statement
            for session_id, known in facts.items()
            for statement in (
                became_known(session_id),
                *(
                    Statement(session_id, name, Source.SET, Said.of(version, _plain(name, value)))
                    for name, value in asdict(known).items()
                    if value is not UNSET
                ),
            )
        ),
    )
    meanwhile = find_erased(db, numbers, org, facts)
    if meanwhile:
        delete_facts(db, org, [numbers.conversation(session_id) for session_id in meanwhile])
    return sorted(erased | meanwhile)


def delete_facts(db: Operation, org: str, conversations: Sequence[int]) -> None:
    """Delete all that is known of conversations."""
    if conversations:
        values = {"org": org, "conversations": conversations}
        db.delete("fact", _OF_CONVERSATIONS, values)


def became_known(session_id: str) -> Statement:
    """That a conversation is known, whether or not it has a reply; the first time counts."""
    return Statement(session_id, "known", Source.SET, Said.of(-now_micros(), None))


def without_message(facts: ConversationFacts) -> ConversationFacts:
    """The same facts without the text of a message; taking one back is still told."""
    return replace(facts, last_message=None) if isinstance(facts.last_message, str) else facts


class Known(Struct):
    """What is known of a conversation."""

    session_id: str = ""
    ticket_number: int | None = None
    last_message: str | None = None
    handed_off_at: int | None = None
    status: str | None = None
    csat: float | None = None


def read_facts(
    db: Operation, org: str, conversations: Sequence[int], facts: Sequence[str]
) -> dict[int, Known]:
    """What is known of conversations, of those of which anything is."""
    known = dict[int, Known]()
    values = {"org": org, "conversations": list(conversations), "facts": list(facts)}
    for conversation, fact, session_id, is_set, *said in (
        db.rows(_READ, values) if conversations else ()
    ):
        of = known.setdefault(conversation, Known())
        of.session_id = session_id
        if fact != "known":
            setattr(of, fact, _resolve(fact, said[:4], said[4:], is_set=is_set))
    return known


def _resolve(fact: str, was_set: list[Any], brought: list[Any], *, is_set: bool) -> Any:
    """The value: what was set, or else what came with replies.

    A ticket or a message that was taken back gives way to that of a reply, a handoff does not.
    """
    if is_set and (was_set[0] or fact == "handed_off_at"):
        return _value(fact, *was_set)
    return _value(fact, *brought)


def _value(fact: str, is_given: int, number: int, score: float, text: str) -> Any:
    if not is_given:
        return None
    return {"csat": score, "ticket_number": number, "handed_off_at": number}.get(fact, text)


def _plain(name: str, value: object) -> object:
    if isinstance(value, datetime):
        return to_micros(value)
    return float(value) if name == "csat" and isinstance(value, int | float) else value


def _next_version(db: Operation, numbers: Numbers, org: str, session_ids: Sequence[str]) -> int:
    """A version newer than all that these conversations have, also by the clocks of others."""
    conversations = [numbers.conversation(session_id) for session_id in session_ids]
    newest = db.rows(_NEWEST, {"org": org, "conversations": conversations})
    return max(now_micros(), 1 + int(newest[0][0]))


EVERY_FACT: Final = (
    *("known", "ticket_number", "last_message", "handed_off_at", "status", "csat"),
)

_OF_CONVERSATIONS = "org = {org:String} AND conversation IN {conversations:Array(UInt64)}"
_NEWEST = """
SELECT max(tupleElement(said, 'at')) FROM fact_all
WHERE org = {org:String} AND fact != 'known' AND source = 'set'
  AND conversation IN {conversations:Array(UInt64)}
"""
_READ = """
SELECT conversation, fact, any(session_id), countIf(source = 'set') > 0,
       tupleElement(maxIf(said, source = 'set') AS was_set, 'is_given'),
       tupleElement(was_set, 'number'), tupleElement(was_set, 'score'),
       tupleElement(was_set, 'text'),
       tupleElement(maxIf(said, source = 'reply') AS brought, 'is_given'),
       tupleElement(brought, 'number'), tupleElement(brought, 'score'),
       tupleElement(brought, 'text')
FROM fact_all
WHERE org = {org:String} AND fact IN {facts:Array(String)}
  AND conversation IN {conversations:Array(UInt64)}
GROUP BY conversation, fact
"""
HANDED_OFF = """
(SELECT conversation FROM fact WHERE org = {org:String} AND fact = 'handed_off_at'
 GROUP BY conversation HAVING tupleElement(tupleElement(max((source, said)), 2), 'is_given'))
"""
"""The conversations of a shard that were handed off: what was set is the greater."""
