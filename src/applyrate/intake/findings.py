"""Findings: what a person is told of a trace that gave no reply, and all of them by service."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from applyrate.answers import CandidateAttribute, UnattributedList, UnattributedTraces
from applyrate.intake.spans import ObservedSpan

CONVERSATION: Final = "conversation"
REPLY: Final = "reply"

MAX_GROUPS: Final = 100
MAX_CANDIDATES: Final = 20
LOOKED_AT_TRACES: Final = 500
_MAX_EXAMPLES: Final = 3
_MAX_ATTRIBUTES: Final = 64


class Finding(Struct, frozen=True, kw_only=True):
    """Why a trace gave no reply: what is ``missing``, or else the ``problem`` in a sentence.

    ``attributes`` might hold its conversation. Times are microseconds since 1970.
    """

    org: str
    service: str
    missing: Sequence[str]
    problem: str
    started_at: int
    ended_at: int
    dialects: Sequence[str]
    attributes: dict[str, str]


def describe(
    org: str, spans: Sequence[ObservedSpan], *, missing: Sequence[str] = (), problem: str = ""
) -> Finding:
    """The finding about a trace with these spans."""
    telling = [span for span in spans if span.evidence.is_work or span.evidence.dialects] or spans
    return Finding(
        org=org,
        service=min(telling, key=lambda span: span.started_at).service,
        missing=missing,
        problem=problem,
        started_at=min(span.started_at for span in spans),
        ended_at=max(span.ended_at for span in spans),
        dialects=sorted({dialect for span in spans for dialect in span.evidence.dialects}),
        attributes=_single_values(spans),
    )


def _single_values(spans: Iterable[ObservedSpan]) -> dict[str, str]:
    """The attributes with one value throughout a trace: one with several is no conversation."""
    values: dict[str, str] = {}
    several = set[str]()
    for span in spans:
        for name, value in span.evidence.labels.items():
            if values.setdefault(name, value) != value:
                several.add(name)
    single = ((name, value) for name, value in values.items() if name not in several)
    return dict(list(single)[:_MAX_ATTRIBUTES])


def note_finding(db: sqlite3.Connection, trace: int, finding: Finding | None) -> None:
    """Let this be what is told of a trace; None for nothing."""
    db.execute("DELETE FROM finding WHERE trace = ?", (trace,))
    if finding is not None:
        row = (
            *(trace, finding.org, finding.service, " ".join(finding.missing), finding.problem),
            *(finding.started_at, finding.ended_at, " ".join(finding.dialects)),
            msgspec.msgpack.encode(finding.attributes),
        )
        db.execute(_ADD, row)


def list_findings(
    db: sqlite3.Connection, org: str, mapped_attributes: Sequence[str]
) -> UnattributedList:
    """An organization's findings by service and by what is missing, the most traces first."""
    counts = dict(db.execute(_COUNT_STATES, (org,)).fetchall())
    return UnattributedList(
        [_group(db, org, *row) for row in db.execute(_GROUPS, (org, MAX_GROUPS)).fetchall()],
        mapped_attributes,
        waiting_count=counts.get("ready", 0) + counts.get("waiting", 0),
        excluded_count=counts.get("excluded", 0),
    )


def _group(
    db: sqlite3.Connection,
    org: str,
    service: str,
    missing: str,
    problem: str,
    trace_count: int,
    started_at: int,
    ended_at: int,
) -> UnattributedTraces:
    newest = db.execute(_NEWEST, (org, service, missing, problem, LOOKED_AT_TRACES)).fetchall()
    dialects = {name for _, names, _ in newest for name in names.split()}
    attributes = [msgspec.msgpack.decode(packed, type=dict[str, str]) for _, _, packed in newest]
    return UnattributedTraces(
        service=service,
        trace_count=trace_count,
        first_at=_EPOCH + timedelta(microseconds=started_at),
        last_at=_EPOCH + timedelta(microseconds=ended_at),
        missing=missing.split(),
        problem=problem or None,
        dialects=sorted(dialects),
        attributes=rank_candidates(attributes) if CONVERSATION in missing else [],
        newest_trace_id=newest[0][0],
    )


def rank_candidates(traces: Sequence[dict[str, str]]) -> list[CandidateAttribute]:
    """The attributes of traces, newest trace first, that are most likely to hold a conversation.

    It differs between traces, and most of them have it; a name that speaks of conversations helps,
    and one that the conventions use for something else does not.
    """
    values: dict[str, list[str]] = {}
    for attributes in traces:
        for name, value in attributes.items():
            values.setdefault(name, []).append(value)

    def promise(name: str) -> tuple[object, ...]:
        distinct = len(set(values[name]))
        differs = distinct > 1 or len(traces) == 1
        speaks = _SPEAKING.search(name) is not None
        taken = name.startswith(_TAKEN) and not speaks
        return (taken, not differs, -len(values[name]), not speaks, -distinct, name)

    return [
        CandidateAttribute(name, len(values[name]), [*dict.fromkeys(values[name])][:_MAX_EXAMPLES])
        for name in sorted(values, key=promise)[:MAX_CANDIDATES]
    ]


_SPEAKING: Final = re.compile("session|conversation|thread|chat|dialog|ticket", re.IGNORECASE)
_TAKEN: Final = (
    *("service.", "telemetry.", "deployment.", "host.", "os.", "process.", "container.", "k8s."),
    *("gen_ai.", "llm.", "ai.", "openinference.", "traceloop.", "tool.", "server.", "http."),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ADD = """
INSERT INTO finding
    (trace, org, service, missing, problem, started_at, ended_at, dialects, attributes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_GROUPS = """
SELECT service, missing, problem, count(*) AS trace_count, min(started_at), max(ended_at)
FROM finding WHERE org = ? GROUP BY service, missing, problem
ORDER BY trace_count DESC, service, missing, problem LIMIT ?
"""
_NEWEST = """
SELECT trace_id, dialects, attributes FROM finding JOIN trace ON trace.id = finding.trace
WHERE finding.org = ? AND service = ? AND missing = ? AND problem = ?
ORDER BY finding.trace DESC LIMIT ?
"""
_COUNT_STATES = """
SELECT state, count(*) FROM trace
WHERE state IN ('ready', 'waiting', 'excluded') AND org = ? GROUP BY state
"""
