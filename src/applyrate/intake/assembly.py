"""Assembly: from the spans of one trace to the replies that they tell of.

Pure. A reply is the outermost agent span with all that lies inside it; a trace without one is a
reply as a whole. ``Pins`` remember which span was recorded as which reply, so that a trace that is
assembled again, because a late span has landed, gives the same replies with more in them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final, TypeAlias

from msgspec import Struct

from applyrate.intake.invocations import count_invocations
from applyrate.intake.spans import ObservedSpan
from applyrate.usage import Applied, Available

Pins: TypeAlias = Mapping[str, str]
"""Ids of replies by the id of their agent span; that of a whole trace stands under WHOLE."""

WHOLE: Final = ""


class AssembledReply(Struct, frozen=True, kw_only=True):
    """A reply as its trace tells it; ``session_id`` is None where the trace does not say.

    ``head`` is the id of the agent span that it is, or WHOLE. ``instruction_names`` are texts by
    id.
    """

    reply_id: str
    head: str
    session_id: str | None
    replied_at: datetime
    available: Available
    applied: Applied
    last_message: str | None
    instruction_names: Mapping[str, str]


def is_complete(spans: Sequence[ObservedSpan]) -> bool:
    """Whether the top of a trace has arrived, and with every other span the one above it.

    The top is the root, or an agent span whose parent is in another process.
    """
    known = {span.span_id for span in spans}
    below = [span for span in spans if not is_top(span)]
    return len(below) < len(spans) and all(span.parent_id in known for span in below)


def is_top(span: ObservedSpan) -> bool:
    """Whether nothing that belongs to the trace is expected above a span."""
    return span.parent_id is None or (span.is_entry and span.evidence.is_reply)


def assemble(
    spans: Iterable[ObservedSpan], pins: Pins, conversation_attributes: Sequence[str]
) -> list[AssembledReply]:
    """The replies of a trace, at least one, the earliest first.

    The first of the ``conversation_attributes`` that a reply's own spans have names its
    conversation; else the first that any span of the trace has.
    """
    trace = _Trace(spans)
    replies, taken = list[AssembledReply](), set(pins.values())
    for head, share in _share_out(trace, pins).items():
        reply_id = pins.get(head) or trace.trace_id
        if head not in pins and reply_id in taken:
            reply_id = f"{trace.trace_id}-{head}"
        taken.add(reply_id)
        replies.append(_build(reply_id, head, share, trace, conversation_attributes))
    return replies


class _Trace:
    """The spans of one trace, earliest first."""

    def __init__(self, spans: Iterable[ObservedSpan]) -> None:
        self.spans = sorted(spans, key=lambda span: (span.started_at, span.span_id))
        self.by_id = {span.span_id: span for span in self.spans}
        self.trace_id = self.spans[0].trace_id

    def nearest(self, marks: Mapping[str, str]) -> dict[str, str | None]:
        """For every span, by id, the mark of the nearest marked span: itself, or one above it."""
        found: dict[str, str | None] = {}
        for span in self.spans:
            way: list[str] = []
            at: ObservedSpan | None = span
            while at is not None and at.span_id not in found:
                found[at.span_id] = marks.get(at.span_id)  # a circle of parents meets it, and ends
                way.append(at.span_id)
                at = None if at.span_id in marks else self.by_id.get(at.parent_id or "")
            mark = found[way[-1] if at is None else at.span_id]
            found.update(dict.fromkeys(way, mark))
        return found


class _Share(Struct):
    """The spans of one reply: those inside its head, and those outside of any that it is given."""

    inside: list[ObservedSpan]
    around: list[ObservedSpan]


def _share_out(trace: _Trace, pins: Pins) -> dict[str, _Share]:
    """The spans of each reply by the reply's head; both the earliest first.

    A span outside of every agent span is given to the first that ends after it starts, else to the
    last one.
    """
    agents = {span.span_id: span.span_id for span in trace.spans if span.evidence.is_reply}
    owners = {} if WHOLE in pins else _find_owners(trace, agents, pins)
    heads = [span for span in trace.spans if owners.get(span.span_id) == span.span_id]
    if not heads:
        return {WHOLE: _Share(trace.spans, [])}
    shares = {span.span_id: _Share([], []) for span in heads}
    within = trace.nearest(owners)
    latest_ends = list(accumulate((span.ended_at for span in heads), max))
    for span in trace.spans:
        head = within[span.span_id]
        if head is None:
            place = bisect_right(latest_ends, span.started_at)
            shares[heads[min(place, len(heads) - 1)].span_id].around.append(span)
        else:
            shares[head].inside.append(span)
    return shares


def _find_owners(trace: _Trace, agents: Mapping[str, str], pins: Pins) -> dict[str, str]:
    """The agent spans that own what is inside them, with the head of the reply that it goes to.

    A head is its own. An outermost agent span around pinned ones is none: it goes to the first.
    """
    inside = trace.nearest(agents)
    outermost = {
        agent: agent for agent in agents if inside.get(trace.by_id[agent].parent_id or "") is None
    }
    if not pins:
        return outermost
    owners = dict(outermost)
    around = trace.nearest(outermost)
    for span in reversed(trace.spans):
        if span.span_id in pins:
            owners[around[span.span_id] or span.span_id] = span.span_id
    return owners | {pinned: pinned for pinned in pins if pinned in trace.by_id}


def _build(
    reply_id: str,
    head: str,
    share: _Share,
    trace: _Trace,
    conversation_attributes: Sequence[str],
) -> AssembledReply:
    own = share.inside + share.around
    available, applied, names = _gather_usages(own, trace)
    top = trace.by_id.get(head)
    return AssembledReply(
        reply_id=reply_id,
        head=head,
        session_id=_find_conversation(
            [*([top] if top else ()), *share.inside], conversation_attributes
        )
        or _find_conversation(trace.spans, conversation_attributes),
        replied_at=_instant(top.ended_at if top else _end_of(trace)),
        available=available,
        applied=applied,
        last_message=_last_output(top, own),
        instruction_names=names,
    )


def _gather_usages(
    own: Sequence[ObservedSpan], trace: _Trace
) -> tuple[Available, Applied, Mapping[str, str]]:
    """What a reply's spans tell together. Citations count where the document was found."""
    names: dict[str, str] = {}
    actions, retrieved, reranked, cited = set[str](), set[str](), set[str](), set[str]()
    given, applied, followed = set[str](), set[str](), set[str]()
    for span in own:
        evidence = span.evidence
        for instruction, text in evidence.instructions.items():
            names[instruction] = names.get(instruction) or text
        actions.update(evidence.actions)
        retrieved.update(evidence.retrieved)
        reranked.update(evidence.reranked)
        cited.update(evidence.cited)
        given.update(evidence.available_knowledge)
        applied.update(evidence.applied_knowledge)
        followed.update(evidence.applied_instructions)
    invocations = count_invocations(own, trace.by_id)
    return (
        Available(
            instruction=sorted(names),
            knowledge=sorted(given | (reranked or retrieved)),
            action=sorted(actions),
        ),
        Applied(
            instruction=sorted(followed),
            knowledge=sorted(applied | (cited & (retrieved | reranked | given))),
            action=[name for name in sorted(invocations) for _ in range(invocations[name])],
        ),
        {instruction: text for instruction, text in names.items() if text},
    )


def _last_output(top: ObservedSpan | None, own: Sequence[ObservedSpan]) -> str | None:
    if top is not None and top.evidence.output:
        return top.evidence.output
    speaking = [span for span in own if span.evidence.output]
    last = max(speaking, key=lambda span: (span.ended_at, span.span_id), default=None)
    return last.evidence.output if last else None


def _find_conversation(spans: Sequence[ObservedSpan], attributes: Sequence[str]) -> str | None:
    told: dict[str, str] = {}
    for span in reversed(spans):
        told |= span.evidence.labels
        told |= span.evidence.conversation
    return next((told[name] for name in attributes if told.get(name)), None)


def _end_of(trace: _Trace) -> int:
    """When a whole trace ended: its root, or else the last of its spans."""
    roots = [span.ended_at for span in trace.spans if span.parent_id is None]
    return max(roots or [span.ended_at for span in trace.spans])


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
