"""How often the spans of a reply tell that each action was invoked.

One invocation may be told several times: by the model that asks for it, by the execution, and by an
execution that two libraries saw, one inside the other.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from applyrate.intake.spans import ObservedSpan


def count_invocations(
    spans: Sequence[ObservedSpan], trace: Mapping[str, ObservedSpan]
) -> dict[str, int]:
    """The invocations of each action that some spans of a trace tell of; none is counted twice.

    ``trace`` has all of its spans by id. It is the number of distinct call ids executed, and that
    of executions without an id or, where they are more, of requests that no executed id answers.
    So the counts only grow as spans arrive, unless one comes later than those above and below it.
    """
    identified, unidentified = _count_executions(spans, trace)
    executed = {call_id for ids in identified.values() for call_id in ids}
    requested = _count_requests(spans, trace, executed)
    return {
        name: len(identified[name]) + max(unidentified[name], requested[name])
        for name in identified.keys() | unidentified.keys() | requested.keys()
    }


def _count_executions(
    spans: Sequence[ObservedSpan], trace: Mapping[str, ObservedSpan]
) -> tuple[defaultdict[str, set[str]], Counter[str]]:
    """By action: the call ids that were executed, and the number of executions without one."""
    identified = defaultdict[str, set[str]](set)
    unidentified: dict[str, str] = {}
    told_by_another = set[str]()
    for span in spans:
        call = span.evidence.executed
        if call is None:
            continue
        if call.call_id is None:
            unidentified[span.span_id] = call.name
        else:
            identified[call.name].add(call.call_id)
        for above in _ancestors(span, trace):
            outer = above.evidence.executed
            if outer is not None and outer.name == call.name:
                inner_is_it = call.call_id is None
                told_by_another.add(span.span_id if inner_is_it else above.span_id)
    counted = (name for one, name in unidentified.items() if one not in told_by_another)
    return identified, Counter(counted)


def _count_requests(
    spans: Sequence[ObservedSpan], trace: Mapping[str, ObservedSpan], executed: set[str]
) -> Counter[str]:
    """By action: the calls that were asked for and whose id was not executed.

    Those without id cannot be told apart. An agent's span repeats what its model's spans say, so
    the innermost spans are believed.
    """
    asking = [span for span in spans if span.evidence.requested]
    asked = {
        (call.name, call.call_id)
        for span in asking
        for call in span.evidence.requested
        if call.call_id is not None and call.call_id not in executed
    }
    nameless = {
        span.span_id: names for span in asking if (names := Counter(_names_without_id(span)))
    }
    repeated = {
        (above.span_id, name)
        for span_id, names in nameless.items()
        for above in _ancestors(trace[span_id], trace)
        for name in names
        if name in nameless.get(above.span_id, ())
    }
    requested = Counter(name for name, _ in asked)
    for span_id, names in nameless.items():
        for name, count in names.items():
            if (span_id, name) not in repeated:
                requested[name] += count
    return requested


def _names_without_id(span: ObservedSpan) -> Iterable[str]:
    return (call.name for call in span.evidence.requested if call.call_id is None)


_MAX_ANCESTORS: Final = 200


def _ancestors(span: ObservedSpan, trace: Mapping[str, ObservedSpan]) -> Iterator[ObservedSpan]:
    """The spans above one, nearest first, as far as they are known; a circle of parents ends."""
    for _ in range(_MAX_ANCESTORS):
        above = trace.get(span.parent_id or "")
        if above is None or above is span:
            return
        yield above
        span = above
