"""Spans from the future: refused for good, since their reply would stay the newest for ever."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from applyrate.intake.bounds import Bounds
from applyrate.intake.otlp.decoded import MAX_LISTED, MAX_TOLD, RefusedSpan
from applyrate.intake.reasons import reason_of
from applyrate.intake.span_readers import SpansRead
from applyrate.intake.spans import ObservedSpan


def refuse_future(read: SpansRead, bounds: Bounds) -> SpansRead:
    """The same without the spans that start or end later than is taken now."""
    latest = (bounds.latest() - _EPOCH) // _MICROSECOND
    late = [span for span in read.spans if span.started_at > latest or span.ended_at > latest]
    if not late:
        return read
    spans = [span for span in read.spans if span.started_at <= latest and span.ended_at <= latest]
    refused = [_refuse(span, latest, bounds) for span in late[:MAX_LISTED]]
    reasons = [f"{span.place}: {span.rule}" for span in refused[:MAX_TOLD]]
    if untold := len(late) - len(reasons):
        reasons.append(f"and {untold} more")
    message = "; ".join(filter(None, (read.message, *reasons)))
    rules = Counter(read.rules)
    rules[reason_of(refused[0].rule)] += len(late)
    return SpansRead(
        spans,
        read.refused_count + len(late),
        message,
        [*read.refused, *refused][:MAX_LISTED],
        dict(rules),
    )


def _refuse(span: ObservedSpan, latest: int, bounds: Bounds) -> RefusedSpan:
    ends_late = span.ended_at > latest
    name, at = ("end", span.ended_at) if ends_late else ("start", span.started_at)
    told = bounds.why_late(_EPOCH + at * _MICROSECOND)
    place = f"span {span.span_id} of trace {span.trace_id}"
    return RefusedSpan(place, f"{name}TimeUnixNano: {told}", span.trace_id)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
