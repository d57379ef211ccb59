"""Throw bytes at the decoder of replies, as JSON and as NDJSON.

Whatever comes, each object is a reply or has a reason why not, no neighbour is harmed by it, and
the same lines come out however the stream was cut.
"""

import json
from itertools import pairwise

import atheris  # type: ignore[import-untyped]  # it has no types
import msgspec

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.errors import InvalidInput
    from applyrate.intake.replies import (
        LineSplitter,
        OverlongLine,
        decode_facts,
        decode_reply,
        read_reply_id,
        split_replies,
    )
    from tests.asks import REPLY
    from tests.fuzzing import fuzz

MAX_LINE_BYTES = 300
GOOD = msgspec.json.encode(REPLY)


def check(data: bytes) -> None:
    """Read an input as a body of JSON, and as a stream of lines that is cut by its first byte."""
    check_body(data)
    check_facts(data)
    if data:
        check_lines(data[1:], data[0] + 1)


def check_body(data: bytes) -> None:
    """Fail where a body raises anything but what it may, or a reply breaks a rule."""
    try:
        raws = split_replies(data)
    except InvalidInput as error:
        error.message.encode()
        return
    for raw in raws:
        check_reply(raw)
    if data.lstrip(b" \t\r\n")[:1] == b"[" and raws:
        beside = split_replies(data.rstrip()[:-1] + b"," + GOOD + b"]")
        assert [bytes(raw).strip() for raw in raws] == [raw.strip() for raw in beside[:-1]]
        assert decode_reply(beside[-1]) == decode_reply(GOOD)


def check_reply(raw: bytes) -> None:
    """Fail where a reply that is taken breaks a rule, or one that is not has no reason."""
    reply_id = read_reply_id(raw)
    assert reply_id is None or len(reply_id) <= 512
    try:
        reply = decode_reply(raw)
    except InvalidInput as error:
        error.message.encode()
        return
    assert reply_id == reply.reply_id
    assert reply.replied_at.utcoffset() is not None
    used = (reply.available, reply.applied)
    ids = [each for side in used for each in (*side.instruction, *side.knowledge, *side.action)]
    for name in (reply.reply_id, reply.session_id, *map(identifier, ids)):
        assert 1 <= len(name) <= 512
        assert "\0" not in name
        name.encode()
    assert decode_reply(msgspec.json.encode(reply)) == reply


def identifier(each: object) -> str:
    return each if isinstance(each, str) else str(each.id)  # type: ignore[attr-defined]  # an Invocation


def check_facts(data: bytes) -> None:
    """Fail where the facts of a conversation raise anything but what they may."""
    try:
        facts = decode_facts(data)
    except InvalidInput as error:
        error.message.encode()
        return
    assert decode_facts(msgspec.json.encode(facts)) == facts


def check_lines(data: bytes, step: int) -> None:
    """Fail where lines depend on how their stream was cut, or are longer than they may be."""
    whole = split([data])
    starts = [*range(0, len(data), step), len(data)]
    assert split([data[start:end] for start, end in pairwise(starts)]) == whole
    for line in whole:
        assert isinstance(line, OverlongLine) or 0 < len(line) <= MAX_LINE_BYTES
    longest = max(map(len, data.split(b"\n")), default=0)
    if longest <= MAX_LINE_BYTES:
        assert whole == [line.strip() for line in data.split(b"\n") if line.strip()]


def split(pieces: list[bytes]) -> list[bytes | OverlongLine]:
    splitter = LineSplitter(MAX_LINE_BYTES)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.finish()]


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    facts = b'{"ticket_number":7,"handed_off_at":"2026-03-01T10:00:00+02:00","csat":4.5}'
    array = json.dumps([REPLY, {**REPLY, "last_message": "\ud83d"}, {"reply_id": 5}]).encode()
    return [GOOD, array, b"\x10" + GOOD + b"\r\n\n" + GOOD, facts, b"[]", b"", b"\x01\n\n"]


if __name__ == "__main__":
    fuzz(check, seeds())
