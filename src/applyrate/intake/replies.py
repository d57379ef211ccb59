"""Replies as they are sent: one JSON object each, alone, in an array or one on each line.

Everything here is a function of bytes, the same for a request's body and for a file.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from applyrate.errors import InvalidInput
from applyrate.intake.decoding import decode, in_utc, parse
from applyrate.usage import ConversationFacts, Reply


class Rejection(Struct, frozen=True):
    """Why one of the replies that were sent was not taken.

    ``index`` counts them from 0; ``reply_id`` is null where it could not be read.
    """

    index: int
    reply_id: str | None
    message: str


class OverlongLine(Struct, frozen=True):
    """A line that was longer than the limit, in its place; its bytes are gone."""

    max_bytes: int

    @property
    def message(self) -> str:
        """The sentence that rejects it."""
        return f"the line is longer than {self.max_bytes} bytes; send fewer usages in one reply"


def decode_reply(raw: bytes) -> Reply:
    """The reply that a JSON object means, its time in UTC. Raises InvalidInput."""
    reply = decode(raw, _REPLY, "the reply")
    if reply.replied_at.tzinfo is UTC:
        return reply
    return msgspec.structs.replace(reply, replied_at=in_utc("replied_at", reply.replied_at))


def decode_facts(raw: bytes) -> ConversationFacts:
    """What a JSON object says of a conversation, its time in UTC. Raises InvalidInput."""
    facts = decode(raw, _FACTS, "the body")
    if not isinstance(facts.handed_off_at, datetime):
        return facts
    at = in_utc("handed_off_at", facts.handed_off_at)
    return msgspec.structs.replace(facts, handed_off_at=at)


def split_replies(body: bytes) -> list[bytes]:
    """The JSON of each reply in a body that holds an array of them, or one alone.

    Raises InvalidInput where it is neither.
    """
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"{":
        return [body]
    if start != b"[":
        raise InvalidInput("the body: not a JSON object or array")
    try:
        return [bytes(item) for item in parse(body, _ARRAY, "the body")]
    except InvalidInput:
        # msgspec refuses the whole array for a bad escape in one string of it.
        if (items := _split_leniently(body)) is None:
            raise
        return items


def read_reply_id(raw: bytes) -> str | None:
    """The id of a reply that is not usable as a whole, where it can be told."""
    try:
        reply_id = _NAMED.decode(raw).reply_id
    except (ValueError, RecursionError):
        return None
    return reply_id if len(reply_id) <= _LONGEST_ID else None


class LineSplitter:
    """Cuts a stream of bytes into its lines, holding never more than one of them.

    Feed it pieces in order, then finish. Line ends are LF or CRLF and are not part of a line; a
    blank line is left out, one longer than ``max_bytes`` is given as an OverlongLine.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_held = max_bytes + len(b"\r")
        self._parts: list[bytes] = []
        self._length = 0

    @property
    def held_bytes(self) -> int:
        """How much of a line that has not ended is held."""
        return self._length if self._parts else 0

    def feed(self, piece: bytes) -> Iterator[bytes | OverlongLine]:
        """The lines that end in this piece."""
        first, *others = piece.split(b"\n")
        self._hold(first)
        if not others:
            return
        *whole, last = others
        yield from self.finish()
        for line in filter(None, whole):
            if told := self._tell(line):
                yield told
        self._hold(last)

    def finish(self) -> Iterator[bytes | OverlongLine]:
        """The last line, where no line end came after it."""
        line, overlong = b"".join(self._parts), self._length > self._max_held
        self._parts.clear()
        self._length = 0
        if told := OverlongLine(self._max_bytes) if overlong else self._tell(line):
            yield told

    def _hold(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= self._max_held:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _tell(self, line: bytes) -> bytes | OverlongLine:
        line = line.removesuffix(b"\r")
        return OverlongLine(self._max_bytes) if len(line) > self._max_bytes else line.strip()


class _Named(Struct):
    reply_id: str


_LONGEST_ID: Final = 512
_REPLY: Final = msgspec.json.Decoder(Reply)
_FACTS: Final = msgspec.json.Decoder(ConversationFacts)
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NAMED: Final = msgspec.json.Decoder(_Named)
_LENIENT: Final = json.JSONDecoder(strict=False, parse_int=float)
_JSON_SPACE: Final = " \t\r\n"


def _split_leniently(body: bytes) -> list[bytes] | None:
    """The items of a JSON array whose strings need not be sound; None where it is no array."""
    text = body.decode("utf-8", "surrogateescape")
    items: list[bytes] = []
    at = text.index("[") + 1
    try:
        while True:
            at = _skip_space(text, at)
            _, end = _LENIENT.raw_decode(text, at)
            items.append(text[at:end].encode("utf-8", "surrogateescape"))
            at = _skip_space(text, end)
            if text[at] == "]":
                return items if not text[at + 1 :].strip(_JSON_SPACE) else None
            if text[at] != ",":
                return None
            at += 1
    except (ValueError, IndexError, RecursionError):
        return None


def _skip_space(text: str, at: int) -> int:
    while text[at] in _JSON_SPACE:
        at += 1
    return at
