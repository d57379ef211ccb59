"""What was sent and acknowledged before the store has it: replies, and facts of conversations."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from applyrate.usage import ConversationFacts, Reply


class SentReplies(Struct, frozen=True, tag="replies"):
    """Replies that were sent together."""

    replies: Sequence[Reply]


class SentFacts(Struct, frozen=True, tag="facts"):
    """What was sent of one conversation."""

    session_id: str
    facts: ConversationFacts


Item: TypeAlias = SentReplies | SentFacts


class Sent(Struct, frozen=True):
    """What one organization sent together."""

    org: str
    item: Item

    @property
    def size(self) -> int:
        """How many replies it has; 1 for facts."""
        return len(self.item.replies) if isinstance(self.item, SentReplies) else 1


def encode_item(item: Item) -> bytes:
    """An item as it is kept."""
    return _ENCODER.encode(item)


def decode_item(kept: bytes) -> Item:
    """The item that is kept so."""
    return _DECODER.decode(kept)


def silence(item: Item) -> Item:
    """An item without the texts of messages."""
    if isinstance(item, SentFacts):
        if not isinstance(item.facts.last_message, str):
            return item
        return SentFacts(item.session_id, replace(item.facts, last_message=UNSET))
    if all(reply.last_message is None for reply in item.replies):
        return item
    return SentReplies([replace(reply, last_message=None) for reply in item.replies])


def leave_out(item: Item, session_id: str) -> Item | None:
    """What is left of an item without a conversation; None where that is nothing."""
    if isinstance(item, SentFacts):
        return None if item.session_id == session_id else item
    kept = [reply for reply in item.replies if reply.session_id != session_id]
    if len(kept) == len(item.replies):
        return item
    return SentReplies(kept) if kept else None


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Item]] = msgspec.msgpack.Decoder(Item)
