"""Derivation: what becomes of each trace that is due, and the replies that are recorded of it.

``derive`` decides and writes nothing. Whoever records the replies tells a derivation where that
failed, and then lets the inbox settle it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from msgspec import Struct

from applyrate.errors import InvalidInput
from applyrate.intake.assembly import AssembledReply, assemble, is_complete
from applyrate.intake.bounds import Bounds
from applyrate.intake.findings import CONVERSATION, REPLY, Finding, describe
from applyrate.intake.inbox import MAX_TRACE_SPANS, KeptTrace, Settlement
from applyrate.intake.room import State
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.store import Store
from applyrate.usage import RecordedReply, Reply, ResourceType

REPORTED: Final = frozenset({ResourceType.ACTION})
"""The type whose application any trace is able to report; where one tells more, the store sees."""


class Derivation(Struct):
    """What is to become of a trace once its ``replies`` are recorded.

    ``pins`` say which of its spans they are, ``names`` are texts of instructions by id.
    ``handed_off`` has the times of handoffs by conversation. ``is_gone``: the store has removed
    what it tells of.
    """

    trace: KeptTrace
    state: State
    finding: Finding | None = None
    replies: list[Reply] = []
    pins: dict[str, str] = {}
    names: dict[str, str] = {}
    handed_off: dict[str, datetime] = {}
    is_gone: bool = False

    def fail(self, problem: str) -> None:
        """Set the trace aside with what is wrong."""
        self.state = State.FAILED
        self.finding = describe(self.trace.org, self.trace.spans, problem=problem)

    def settlement(self) -> Settlement:
        """What the inbox is to note."""
        pins = {**self.trace.pins, **self.pins}
        return Settlement(self.trace, self.state, pins, self.finding, self.is_gone)


def derive(
    traces: Sequence[KeptTrace],
    store: Store,
    conversation_attributes: Sequence[str],
    handoff_actions: frozenset[str],
    bounds: Bounds,
) -> list[Derivation]:
    """Decide about each trace. One that cannot be assembled fails alone."""
    derivations: list[Derivation] = []
    by_org = sorted(traces, key=lambda trace: trace.org)
    for org, ours in groupby(by_org, key=lambda trace: trace.org):
        judged = [_judge(trace, conversation_attributes) for trace in ours]
        reply_ids = [reply.reply_id for _, replies in judged for reply in replies]
        recorded = store.replies(org, reply_ids) if reply_ids else {}
        for derivation, replies in judged:
            _take(derivation, replies, recorded, handoff_actions, bounds)
            derivations.append(derivation)
    return derivations


def _judge(
    trace: KeptTrace, conversation_attributes: Sequence[str]
) -> tuple[Derivation, Sequence[AssembledReply]]:
    """What a trace is, and its replies where it has any to record."""
    derivation = Derivation(trace, _look_at(trace))
    if trace.is_oversized:
        derivation.fail(f"the trace has more than {MAX_TRACE_SPANS} spans; end traces more often")
    if derivation.state is not State.DERIVED:
        return derivation, ()
    try:
        replies = assemble(trace.spans, trace.pins, [*conversation_attributes, *trace.mapped])
    except Exception as error:  # noqa: BLE001 (whatever it is, it is this trace's alone)
        tell(Event.TRACE_NOT_ASSEMBLED, error, org=trace.org, trace_id=trace.trace_id)
        derivation.fail(f"the trace cannot be assembled: {error!r}")
        return derivation, ()
    if any(span.evidence.is_work for span in trace.spans):
        return derivation, replies
    _miss(derivation, (REPLY,) if replies[0].session_id else (CONVERSATION, REPLY))
    return derivation, ()


def _look_at(trace: KeptTrace) -> State:
    """What a trace is at first sight; DERIVED where it is to be assembled."""
    if any(span.evidence.is_excluded for span in trace.spans):
        return State.EXCLUDED
    if trace.state is State.READY and not is_complete(trace.spans):
        return State.WAITING
    if not any(span.evidence.dialects for span in trace.spans):
        return State.IRRELEVANT
    return State.DERIVED


def _take(
    derivation: Derivation,
    assembled: Sequence[AssembledReply],
    recorded: Mapping[str, RecordedReply],
    handoff_actions: frozenset[str],
    bounds: Bounds,
) -> None:
    """Take the replies whose conversation is known; that and the time stay as first recorded."""
    for one in assembled:
        try:
            bounds.check_lists(one.available, one.applied)
        except InvalidInput as error:
            derivation.fail(f"the reply {one.reply_id}: {error.message}")
            continue
        known = recorded.get(one.reply_id)
        session_id = known.session_id if known else one.session_id
        if session_id is None:
            _miss(derivation, (CONVERSATION,))
            continue
        replied_at = known.replied_at if known else one.replied_at
        derivation.replies.append(
            Reply(
                reply_id=one.reply_id,
                session_id=session_id,
                replied_at=replied_at,
                available=one.available,
                applied=one.applied,
                last_message=one.last_message,
            )
        )
        derivation.pins[one.head] = one.reply_id
        derivation.names |= one.instruction_names
        if not handoff_actions.isdisjoint(map(str, one.applied.action)):
            earliest = derivation.handed_off.get(session_id, replied_at)
            derivation.handed_off[session_id] = min(earliest, replied_at)


def _miss(derivation: Derivation, missing: Sequence[str]) -> None:
    trace = derivation.trace
    derivation.state = State.UNATTRIBUTED
    derivation.finding = describe(trace.org, trace.spans, missing=missing)
