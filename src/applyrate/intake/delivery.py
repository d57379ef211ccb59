"""Delivery: a block of what waits into the store, and what becomes of each part of it.

It may be repeated as often as needed, since usages are a set. What breaks the block is found by
halving: the rest is recorded, and one reply at fault, or the facts of one conversation, is refused
alone. Nothing is refused while it is the store that fails, which is probed before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Struct

from applyrate.answers import Source
from applyrate.errors import Unavailable
from applyrate.intake.journal import Notes
from applyrate.intake.rejections import describe_rejection
from applyrate.intake.sent import Sent, SentFacts, SentReplies
from applyrate.intake.undelivered import Refused, Waiting
from applyrate.store import Store
from applyrate.usage import ERASED, ConversationFacts, Receipt, Recording

T = TypeVar("T")

RETRY_AFTER_SECONDS: Final = 5


class Delivered(Struct):
    """What became of a block.

    ``receipts`` are of the replies that the store has taken or knows. ``refused`` broke it, and
    ``rejected`` are by organization the notes of what contradicts the store or is gone there.
    """

    receipts: list[Receipt] = []
    refused: list[Refused] = []
    rejected: defaultdict[str, Notes] = msgspec.field(default_factory=lambda: defaultdict(Notes))


def deliver(store: Store, block: Iterable[Waiting]) -> Delivered:
    """Bring a block to the store. Raises Unavailable where that cannot be done now."""
    delivered = Delivered()
    recordings: list[Recording] = []
    facts_of: defaultdict[str, dict[str, ConversationFacts]] = defaultdict(dict)
    for waiting in block:
        org, item = waiting.sent.org, waiting.sent.item
        if isinstance(item, SentReplies):
            recordings.append(Recording(org, item.replies))
        else:
            known = facts_of[org].get(item.session_id)
            facts_of[org][item.session_id] = _join(known, item.facts) if known else item.facts
    if recordings:
        _record(store, recordings, delivered)
    for org, facts in facts_of.items():
        _set_conversations(store, org, facts, delivered)
    return delivered


def _record(store: Store, recordings: Sequence[Recording], delivered: Delivered) -> None:
    problem = _attempt(store, lambda: _take_receipts(store, recordings, delivered))
    if problem is None:
        return
    if len(recordings) > 1:
        for half in _halve(recordings):
            _record(store, half, delivered)
        return
    (recording,) = recordings
    if len(recording.replies) > 1:
        for replies in _halve(recording.replies):
            _record(store, [msgspec.structs.replace(recording, replies=replies)], delivered)
        return
    delivered.refused.append(Refused(Sent(recording.org, SentReplies(recording.replies)), problem))


def _take_receipts(store: Store, recordings: Sequence[Recording], delivered: Delivered) -> None:
    receipts = store.record(recordings)
    delivered.receipts += receipts
    for recording, receipt in zip(recordings, receipts, strict=True):
        for refusal in receipt.refused:
            delivered.rejected[recording.org].reject(
                describe_rejection(Source.REPLIES, refusal.message, reply_id=refusal.reply_id)
            )


def _set_conversations(
    store: Store, org: str, facts: Mapping[str, ConversationFacts], delivered: Delivered
) -> None:
    def set_them() -> None:
        for session_id in store.set_conversations(org, facts):
            delivered.rejected[org].reject(
                describe_rejection(Source.CONVERSATIONS, f"session_id: {session_id!r} {ERASED}")
            )

    problem = _attempt(store, set_them)
    if problem is None:
        return
    if len(facts) > 1:
        for half in _halve(list(facts.items())):
            _set_conversations(store, org, dict(half), delivered)
        return
    refused = [SentFacts(session_id, known) for session_id, known in facts.items()]
    delivered.refused += [Refused(Sent(org, item), problem) for item in refused]


def _attempt(store: Store, change: Callable[[], None]) -> str | None:
    """Make a change; why the store refuses it, where it is the change that is at fault.

    Raises Unavailable where it is the store.
    """
    try:
        _ask(change)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 (whatever it is: the probe says whose fault it is)
        try:
            _ask(store.probe)
        except Exception as failure:  # noqa: BLE001 (and then it is tried again later)
            raise _unavailable(failure) from error
        return f"{type(error).__name__}: {error}"
    return None


def _ask(question: Callable[[], None]) -> None:
    """Ask the store; a connection that fails is raised as Unavailable."""
    try:
        question()
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    told = f"the store cannot be reached: {error!r}"
    return Unavailable(told, retry_after_seconds=RETRY_AFTER_SECONDS)


def _halve(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    middle = len(items) // 2
    return items[:middle], items[middle:]


def _join(earlier: ConversationFacts, later: ConversationFacts) -> ConversationFacts:
    """What two settings of a conversation come to, one after the other."""
    set_later = {
        name: value for name, value in msgspec.structs.asdict(later).items() if value is not UNSET
    }
    return msgspec.structs.replace(earlier, **set_later)
