"""Traces that go because somebody wants them to: what of the inbox tells of a conversation.

A span names its conversation somewhere in its packed evidence. So the bytes of the id are looked
for first, and only what holds them is decoded.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from applyrate.intake.room import Kept
from applyrate.intake.spans import ObservedSpan

_TRACES_AT_A_TIME: Final = 50
"""Those of one commit: whoever brings spans waits for it."""


def traces_about(
    db: sqlite3.Connection, org: str, session_id: str, reply_ids: Sequence[str]
) -> list[int]:
    """The keys of an organization's traces that name a conversation, or became these replies."""
    wanted = msgspec.json.encode(sorted(trace_ids(reply_ids))).decode()
    keys = {key for (key,) in db.execute(_OF_IDS, (org, wanted))}
    for key, observed in db.execute(_WITH_BYTES, (org, session_id.encode())):
        if key not in keys and _names(_DECODE(observed), session_id):
            keys.add(key)
    return sorted(keys)


def trace_ids(reply_ids: Sequence[str]) -> set[str]:
    """The ids of the traces that became replies, if any did.

    A reply has the id of its trace, or that and the id of its span behind a hyphen.
    """
    return {*reply_ids, *(reply_id.rpartition("-")[0] for reply_id in reply_ids)} - {""}


def unchanged_since(db: sqlite3.Connection, org: str, before: int) -> list[int]:
    """Some keys of an organization's traces without a new span since a moment (microseconds)."""
    return [key for (key,) in db.execute(_UNCHANGED, (org, before, _TRACES_AT_A_TIME))]


def in_parts(traces: Sequence[int]) -> Iterator[Sequence[int]]:
    """The traces in parts that are each dropped in one commit."""
    for start in range(0, len(traces), _TRACES_AT_A_TIME):
        yield traces[start : start + _TRACES_AT_A_TIME]


def still_kept(db: sqlite3.Connection, traces: Iterable[int]) -> list[Kept]:
    """Those of the traces that are there, each with the number of its spans."""
    wanted = msgspec.json.encode(list(traces)).decode()
    return db.execute(_STILL_KEPT, (wanted,)).fetchall()


def erase_outputs(db: sqlite3.Connection, org: str, after: int) -> tuple[int, int]:
    """Erase what the agent said out of the spans of some traces, those after a key.

    The last key that was looked at, 0 after all; and how many spans had said anything.
    """
    traces = [key for (key,) in db.execute(_FOLLOWING, (org, after, _TRACES_AT_A_TIME))]
    silenced = []
    for trace in traces:
        for span_id, observed in db.execute(_SPANS, (trace,)).fetchall():
            span = _DECODE(observed)
            if span.evidence.output:
                silenced.append((_ENCODE(silence(span)), trace, span_id))
    db.executemany(_WRITE_SPAN, silenced)
    return (traces[-1] if traces else 0), len(silenced)


def silence(span: ObservedSpan) -> ObservedSpan:
    """The span without what the agent said."""
    if not span.evidence.output:
        return span
    return replace(span, evidence=replace(span.evidence, output=""))


def _names(span: ObservedSpan, session_id: str) -> bool:
    told = (*span.evidence.conversation.values(), *span.evidence.labels.values())
    return session_id in told


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(ObservedSpan).decode

_OF_IDS = """
SELECT trace.id FROM json_each(?2) AS wanted CROSS JOIN trace
WHERE org = ?1 AND trace_id = wanted.value
"""
_WITH_BYTES = """
SELECT trace.id, observed FROM trace CROSS JOIN span ON span.trace = trace.id
WHERE trace.org = ? AND instr(observed, ?)
"""
_UNCHANGED = "SELECT id FROM trace WHERE org = ? AND changed_at < ? LIMIT ?"
_STILL_KEPT = """
SELECT trace.id, span_count FROM json_each(?) AS wanted CROSS JOIN trace
WHERE trace.id = wanted.value
"""
_FOLLOWING = "SELECT id FROM trace WHERE org = ? AND id > ? ORDER BY id LIMIT ?"
_SPANS = "SELECT span_id, observed FROM span WHERE trace = ?"
_WRITE_SPAN = "UPDATE span SET observed = ? WHERE trace = ? AND span_id = ?"
