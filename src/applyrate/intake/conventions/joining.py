"""The evidence of several dialects on one span, as one.

Frameworks write two dialects on one span, and each tells of the same call: so an execution stays
one, calls are the same by their ids, and of calls without an id there are as many as the dialect
that tells of most.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from applyrate.intake.conventions.values import distinct
from applyrate.intake.spans import Evidence, ToolCall


def join(found: Sequence[Evidence]) -> Evidence:
    """The union of what dialects found in one span."""
    requested = _calls([each.requested for each in found])
    if len(found) == 1 and requested == found[0].requested:
        return found[0]
    return Evidence(
        dialects=tuple(name for each in found for name in each.dialects),
        is_reply=any(each.is_reply for each in found),
        is_work=any(each.is_work for each in found),
        instructions=_named(found),
        actions=distinct(name for each in found for name in each.actions),
        executed=_execution(each.executed for each in found),
        requested=requested,
        retrieved=distinct(name for each in found for name in each.retrieved),
        reranked=distinct(name for each in found for name in each.reranked),
        available_knowledge=distinct(name for each in found for name in each.available_knowledge),
        applied_knowledge=distinct(name for each in found for name in each.applied_knowledge),
        applied_instructions=distinct(name for each in found for name in each.applied_instructions),
        output=next((each.output for each in found if each.output), ""),
    )


def _named(found: Sequence[Evidence]) -> dict[str, str]:
    named: dict[str, str] = {}
    for each in found:
        for instruction, name in each.instructions.items():
            named[instruction] = named.get(instruction) or name
    return named


def _execution(executions: Iterable[ToolCall | None]) -> ToolCall | None:
    """One of them, one with a call id where there is one."""
    known = [call for call in executions if call is not None]
    return next((call for call in known if call.call_id is not None), known[0] if known else None)


def _calls(told: Sequence[Sequence[ToolCall]]) -> tuple[ToolCall, ...]:
    identified = dict.fromkeys(call for calls in told for call in calls if call.call_id is not None)
    if all(call.call_id is not None for calls in told for call in calls):
        return tuple(identified)
    most: Counter[str] = Counter()
    for calls in told:
        # Within a dialect, too, one call id is one call.
        once = {call for call in calls if call.call_id is not None}
        without_id = [call for call in calls if call.call_id is None]
        most |= Counter(call.name for call in (*once, *without_id))
    most -= Counter(call.name for call in identified)
    return (*identified, *(ToolCall(name) for name in most.elements()))
