"""Spans for the tests of conventions, and what all of them together tell."""

from collections import Counter
from collections.abc import Iterable

from applyrate.intake.conventions import Rules, observe
from applyrate.intake.spans import Evidence, Span, SpanEvent, Value
from applyrate.settings import Settings

RULES = Rules.of(Settings())


def make_span(
    attributes: dict[str, Value],
    *events: tuple[str, dict[str, Value]],
    name: str = "span",
    emitter: dict[str, Value] | None = None,
) -> Span:
    """A span with these attributes, and events of these names and attributes."""
    return Span(
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        parent_id=None,
        name=name,
        started_at=1_772_359_200_000_000,
        ended_at=1_772_359_201_000_000,
        attributes=attributes,
        events=[SpanEvent(event, given) for event, given in events],
        service="support-agent",
        emitter=emitter or {},
    )


def evidence_of(
    attributes: dict[str, Value], *events: tuple[str, dict[str, Value]], name: str = "span"
) -> Evidence:
    """What a span with these attributes and events tells, by the rules as they are set."""
    return observe(make_span(attributes, *events, name=name), RULES).evidence


def invocations(found: Iterable[Evidence]) -> Counter[str]:
    """How often each action was invoked in one reply, without executions nested in others."""
    found = list(found)
    executed = [each.executed for each in found if each.executed]
    identified = {call for call in executed if call.call_id is not None}
    nameless = Counter(call.name for call in executed if call.call_id is None)
    requested = {call for each in found for call in each.requested} - identified
    return Counter(call.name for call in identified) + (
        nameless | Counter(call.name for call in requested)
    )
