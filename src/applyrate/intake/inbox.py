"""The inbox: the spans that were acknowledged, on disk, until the replies of their traces are.

A span is identified by organization, trace and span id, so that a repeated one changes nothing.
Several processes may work on the file. ``undelivered`` is what was acknowledged beside spans and
waits in the same file for a store on other machines.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from applyrate.answers import InboxDepth, RejectedInput, RejectionReason, UnattributedList
from applyrate.intake.arrivals import add_arrivals, forget_arrivals, measure_depth
from applyrate.intake.assembly import Pins, is_top
from applyrate.intake.erased_traces import (
    erase_outputs,
    in_parts,
    still_kept,
    trace_ids,
    traces_about,
    unchanged_since,
)
from applyrate.intake.findings import Finding, list_findings, note_finding
from applyrate.intake.inbox_checking import check_inbox
from applyrate.intake.journal import Notes
from applyrate.intake.rejections import (
    RejectedPosition,
    add_rejections,
    erase_rejections,
    expire_rejections,
    forget_rejections,
    list_reasons,
    list_rejections,
)
from applyrate.intake.room import State, count_kept, drop, make_room, micros_ago, oldest
from applyrate.intake.spans import ObservedSpan
from applyrate.intake.undelivered import Undelivered, erase_conversation, silence_messages
from applyrate.store.sqlite.database import Database
from applyrate.usage import Page

FILE: Final = "inbox.db"

MAX_TRACE_SPANS: Final = 20_000
"""A trace with more spans is not derived, so that no single one can fill the memory."""

_TRACES_AT_A_TIME: Final = 500


class SpanBatch(Struct, frozen=True):
    """Spans that one organization sent together."""

    org: str
    spans: Sequence[ObservedSpan]


class KeptTrace(Struct, frozen=True, kw_only=True):
    """A trace as the inbox holds it; ``mapped`` are the attributes that its organization mapped.

    Of more than MAX_TRACE_SPANS ``spans`` has one alone.
    """

    key: int
    org: str
    trace_id: str
    state: State
    span_count: int
    pins: Pins
    mapped: Sequence[str]
    spans: Sequence[ObservedSpan]

    @property
    def is_oversized(self) -> bool:
        """Whether it has more spans than are read."""
        return self.span_count > MAX_TRACE_SPANS


class Settlement(Struct, frozen=True):
    """What became of a trace; ``finding`` tells a person why it is unattributed or failed.

    ``is_gone``: the store has removed what it tells of, and it goes, too.
    """

    trace: KeptTrace
    state: State
    pins: Pins
    finding: Finding | None = None
    is_gone: bool = False


class InboxLoad(Struct, frozen=True):
    """How many spans are kept, and how many traces wait to become replies.

    ``oldest_seconds``: how long the one of them that is unchanged for the longest time is.
    """

    span_count: int
    waiting_trace_count: int
    oldest_seconds: float


class Inbox:
    """The file. Every method may be called from any thread; what one wrote is on disk.

    ``needs_scrub``: what came of something that the store had removed was dropped meanwhile.
    """

    def __init__(self, path: Path, *, max_spans: int) -> None:
        self._database = Database(path, resources.files("applyrate") / "intake" / "migrations")
        self.undelivered = Undelivered(self._database)
        self._max_spans = max_spans
        self.needs_scrub = False
        self._take_back_future()

    def add(self, batches: Sequence[SpanBatch]) -> list[None]:
        """Keep the spans, in one transaction. A trace with a new one is then derived (again).

        Raises Unavailable where there is no room, and makes none; none of them is kept then.
        """
        traces: dict[tuple[str, str], dict[str, ObservedSpan]] = {}
        for batch in batches:
            for span in batch.spans:
                traces.setdefault((batch.org, span.trace_id), {}).setdefault(span.span_id, span)
        now = micros_ago(0)
        with self._database.writing() as db:
            make_room(db, 1, self._max_spans)
            added = sum(
                _add_to_trace(db, org, trace_id, spans, now)
                for (org, trace_id), spans in traces.items()
            )
            make_room(db, added, self._max_spans)
            count_kept(db, added)
        return [None] * len(batches)

    def due(self, quiet_seconds: float, *, max_spans: int) -> list[KeptTrace]:
        """Traces to derive: those whose top is there, and those that had their quiet time.

        The longest unchanged first, as many as have ``max_spans`` together, but at least one.
        """
        quiet = micros_ago(quiet_seconds)
        with self._database.reading() as db:
            rows: list[_Row] = [
                *db.execute(_READY, (_TRACES_AT_A_TIME,)),
                *db.execute(_QUIET, (quiet, _TRACES_AT_A_TIME)),
            ]
            return _read_traces(db, sorted(rows, key=lambda row: row[-1]), max_spans)

    def unattributed(self, org: str, after: int, *, max_spans: int) -> list[KeptTrace]:
        """An organization's unattributed traces with keys greater than ``after``, in that order."""
        with self._database.reading() as db:
            rows = db.execute(_UNATTRIBUTED, (org, after, _TRACES_AT_A_TIME)).fetchall()
            return _read_traces(db, rows, max_spans)

    def settle(self, settlements: Iterable[Settlement]) -> None:
        """Note what became of traces. One with a new span since it was read is derived again."""
        settlements = list(settlements)
        with self._database.writing() as db:
            for settlement in settlements:
                _settle(db, settlement)
        self.needs_scrub |= any(settlement.is_gone for settlement in settlements)

    def forget(self, quiet_seconds: float, late_seconds: float) -> int:
        """Drop traces of which no late span is expected any more; how many there were.

        Irrelevant ones go after the quiet time, derived ones after ``late_seconds``.
        """
        with self._database.reading() as db:
            if not _expired(db, quiet_seconds, late_seconds):
                return 0
        with self._database.writing() as db:
            expired = _expired(db, quiet_seconds, late_seconds)
            drop(db, expired)
        return len(expired)

    def findings(self, org: str) -> UnattributedList:
        """What a person is told of an organization's traces that gave no reply."""
        with self._database.reading() as db:
            return list_findings(db, org, _mapped(db).get(org, []))

    def write_notes(self, notes: Mapping[str, Notes]) -> None:
        """Keep what was noted of organizations: what arrived, and what was rejected."""
        with self._database.writing() as db:
            for org, noted in notes.items():
                add_arrivals(db, org, noted.arrived)
                if noted.faults:
                    add_rejections(db, org, noted.newest, noted.faults)

    def forget_notes(self) -> None:
        """Drop what arrived or was rejected so long ago that it is no longer shown."""
        with self._database.writing() as db:
            forget_arrivals(db, micros_ago(0))
            forget_rejections(db, datetime.now(UTC))

    def depth(self, org: str) -> InboxDepth:
        """What of an organization waits, and what arrived lately."""
        with self._database.reading() as db:
            return measure_depth(db, org, micros_ago(0))

    def rejections(
        self, org: str, *, limit: int, after: RejectedPosition | None = None
    ) -> tuple[Page[RejectedInput, RejectedPosition], Sequence[RejectionReason]]:
        """An organization's newest rejections, and how many there were for which reason."""
        with self._database.reading() as db:
            return list_rejections(db, org, limit=limit, after=after), list_reasons(db, org)

    def map_attribute(self, org: str, attribute: str) -> None:
        """Read the organization's conversations from this attribute, too."""
        with self._database.writing() as db:
            db.execute(_MAP, (org, attribute))

    def mapped(self) -> dict[str, list[str]]:
        """The attributes that organizations mapped, in that order."""
        with self._database.reading() as db:
            return _mapped(db)

    def check(self) -> Iterator[str]:
        """Verify everything that is kept; a sentence for each fault."""
        with self._database.reading() as db:
            yield from check_inbox(db)

    def load(self) -> InboxLoad:
        """How much waits in it, at a small cost."""
        with self._database.reading() as db:
            (span_count,) = db.execute("SELECT span_count FROM kept").fetchone()
            waiting_count, oldest_at = db.execute(_WAITING).fetchone()
        age = 0.0 if oldest_at is None else max(0, micros_ago(0) - oldest_at) / 1_000_000
        return InboxLoad(span_count, waiting_count, age)

    def probe(self) -> None:
        """Write as ``add`` does, and change nothing. Raises what that would raise."""
        self._database.probe()

    def foreign_migrations(self) -> list[str]:
        """The migrations in which the file and this version differ, by name."""
        return self._database.foreign_migrations()

    def file_sizes(self) -> Mapping[str, int]:
        """The bytes of the ``database`` and of its write-ahead log, ``wal``."""
        return self._database.file_sizes()

    def erase(self, org: str, session_id: str, reply_ids: Sequence[str]) -> int:
        """Drop the traces that tell of a conversation, and those of its replies; how many.

        What was rejected of it goes, too, and what is undelivered.
        """
        with self._database.writing() as db:
            erase_conversation(db, org, session_id)
        with self._database.reading() as db:
            traces = traces_about(db, org, session_id, reply_ids)
        with self._database.writing() as db:
            erase_rejections(db, org, session_id, trace_ids(reply_ids))
        for part in in_parts(traces):  # between which others write
            with self._database.writing() as db:
                drop(db, still_kept(db, part))
        return len(traces)

    def expire(self, org: str, before: int) -> int:
        """Drop an organization's traces without a new span since a moment; how many.

        What was rejected before goes, too. The moment is in microseconds since 1970.
        """
        with self._database.writing() as db:
            expire_rejections(db, org, before)
        dropped = 0
        while True:
            with self._database.reading() as db:
                traces = unchanged_since(db, org, before)
            if not traces:
                return dropped
            with self._database.writing() as db:
                drop(db, still_kept(db, traces))
            dropped += len(traces)

    def erase_messages(self, org: str) -> int:
        """Erase what the agent said out of the organization's spans; out of how many.

        The texts of messages that are undelivered go, too.
        """
        with self._database.writing() as db:
            silence_messages(db, org)
        erased = last = 0
        while True:
            with self._database.writing() as db:
                last, count = erase_outputs(db, org, last)
            erased += count
            if not last:
                return erased

    def scrub(self) -> bool:
        """Make the file show nothing of what was dropped; False where it must be tried again."""
        self.needs_scrub = not self._database.scrub()
        return not self.needs_scrub

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _take_back_future(self) -> None:
        """See that no trace changed later than now, as the clock says that was set back since.

        What is to wait from then on would wait until that time has come.
        """
        now = micros_ago(0)
        with self._database.reading() as db:
            ahead = any(db.execute(_IS_AHEAD, (state, now)).fetchone() for state in State)
        if ahead:
            with self._database.writing() as db:
                db.execute(_TAKE_BACK, (now,))


def _add_to_trace(
    db: sqlite3.Connection, org: str, trace_id: str, spans: Mapping[str, ObservedSpan], now: int
) -> int:
    """Keep the spans of one trace; how many are new."""
    has_top = any(map(is_top, spans.values()))
    known = db.execute(_FIND_TRACE, (org, trace_id)).fetchone()
    if known is None:
        state = State.READY if has_top else State.WAITING
        row = (org, trace_id, state, has_top, len(spans), now)
        db.executemany(_ADD_SPAN, _span_rows(db.execute(_ADD_TRACE, row).lastrowid, spans))
        return len(spans)
    key, state, had_top = known
    if state == State.EXCLUDED:
        return 0
    before = db.total_changes
    db.executemany(_ADD_SPAN, _span_rows(key, spans))
    added = db.total_changes - before
    if added:
        has_top = has_top or bool(had_top)
        to_come = State.READY if has_top else State.WAITING
        db.execute(_CHANGE_TRACE, (to_come, has_top, added, now, key))
        note_finding(db, key, None)
    return added


def _span_rows(
    key: int | None, spans: Mapping[str, ObservedSpan]
) -> Iterator[tuple[int | None, str, bytes]]:
    return ((key, span_id, _ENCODE(span)) for span_id, span in spans.items())


_Row: TypeAlias = tuple[int, str, str, str, int, bytes | None, int]


def _read_traces(db: sqlite3.Connection, rows: Iterable[_Row], max_spans: int) -> list[KeptTrace]:
    traces: list[KeptTrace] = []
    mapped = _mapped(db)
    total = 0
    for key, org, trace_id, state, span_count, pins, _ in rows:
        total += span_count
        if traces and total > max_spans:
            break
        read = db.execute(_SPANS, (key, 1 if span_count > MAX_TRACE_SPANS else -1))
        traces.append(
            KeptTrace(
                key=key,
                org=org,
                trace_id=trace_id,
                state=State(state),
                span_count=span_count,
                pins=msgspec.msgpack.decode(pins, type=dict[str, str]) if pins else {},
                mapped=mapped.get(org, []),
                spans=[_DECODE(observed) for (observed,) in read],
            )
        )
    return traces


def _settle(db: sqlite3.Connection, settlement: Settlement) -> None:
    trace, state, finding = settlement.trace, settlement.state, settlement.finding
    if settlement.is_gone:
        drop(db, still_kept(db, [trace.key]))
        return
    if state is State.UNATTRIBUTED and len(_mapped(db).get(trace.org, [])) > len(trace.mapped):
        state, finding = State.READY, None  # one was mapped meanwhile: look there, too
    pins = _ENCODE(settlement.pins) if settlement.pins else None
    if db.execute(_SETTLE, (state, pins, trace.key, trace.span_count)).rowcount:
        note_finding(db, trace.key, finding)
        if state is State.EXCLUDED:
            db.execute(_DROP_SPANS, (trace.key,))
            db.execute(_COUNT_ONCE, (trace.key,))
            count_kept(db, 1 - trace.span_count)
    else:
        db.execute(_PIN, (pins, trace.key))


def _expired(
    db: sqlite3.Connection, quiet_seconds: float, late_seconds: float
) -> list[tuple[int, int]]:
    return oldest(db, State.IRRELEVANT, quiet_seconds) + oldest(db, State.DERIVED, late_seconds)


def _mapped(db: sqlite3.Connection) -> dict[str, list[str]]:
    mapped: dict[str, list[str]] = {}
    for org, attribute in db.execute(_MAPPED):
        mapped.setdefault(org, []).append(attribute)
    return mapped


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(ObservedSpan).decode

_FIND_TRACE = "SELECT id, state, has_top FROM trace WHERE org = ? AND trace_id = ?"
_ADD_TRACE = """
INSERT INTO trace (org, trace_id, state, has_top, span_count, changed_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_CHANGE_TRACE = """
UPDATE trace SET state = ?, has_top = ?, span_count = span_count + ?, changed_at = ? WHERE id = ?
"""
_ADD_SPAN = "INSERT INTO span (trace, span_id, observed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_IS_AHEAD = "SELECT 1 FROM trace WHERE state = ? AND changed_at > ? LIMIT 1"
_TAKE_BACK = "UPDATE trace SET changed_at = ?1 WHERE changed_at > ?1"
_SPANS = "SELECT observed FROM span WHERE trace = ? LIMIT ?"
_DROP_SPANS = "DELETE FROM span WHERE trace = ?"
_COUNT_ONCE = "UPDATE trace SET span_count = 1 WHERE id = ?"
_READY = """
SELECT id, org, trace_id, state, span_count, pins, changed_at FROM trace
WHERE state = 'ready' ORDER BY changed_at LIMIT ?
"""
_QUIET = """
SELECT id, org, trace_id, state, span_count, pins, changed_at FROM trace
WHERE state = 'waiting' AND changed_at <= ? ORDER BY changed_at LIMIT ?
"""
_WAITING = "SELECT count(*), min(changed_at) FROM trace WHERE state IN ('ready', 'waiting')"
_UNATTRIBUTED = """
SELECT id, trace.org, trace_id, state, span_count, pins, changed_at
FROM trace JOIN finding ON finding.trace = trace.id
WHERE finding.org = ? AND finding.trace > ? AND state = 'unattributed' ORDER BY trace.id LIMIT ?
"""
# Only as long as no span came since it was read.
_SETTLE = "UPDATE trace SET state = ?, pins = ? WHERE id = ? AND span_count = ?"
_PIN = "UPDATE trace SET pins = ? WHERE id = ?"
_MAPPED = "SELECT org, attribute FROM mapping ORDER BY id"
_MAP = "INSERT INTO mapping (org, attribute) VALUES (?, ?) ON CONFLICT DO NOTHING"
