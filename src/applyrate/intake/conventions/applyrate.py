"""Our own attributes: what an agent had available and applied, said in so many words."""

from typing import Final

from applyrate.intake.conventions.values import identifiers_of
from applyrate.intake.spans import Evidence, Span, ToolCall

_OURS: Final = frozenset(
    {
        "applyrate.session_id",
        "applyrate.available.instruction",
        "applyrate.available.knowledge",
        "applyrate.available.action",
        "applyrate.applied.instruction",
        "applyrate.applied.knowledge",
        "applyrate.applied.action",
    }
)


def read(span: Span) -> Evidence | None:
    """What the ``applyrate.*`` attributes of a span say; each is one id, or an array of them."""
    given = span.attributes
    if _OURS.isdisjoint(given):
        return None
    applied_actions = identifiers_of(given.get("applyrate.applied.action"))
    return Evidence(
        dialects=("applyrate",),
        is_work=True,
        instructions=dict.fromkeys(
            identifiers_of(given.get("applyrate.available.instruction")), ""
        ),
        actions=identifiers_of(given.get("applyrate.available.action")),
        requested=tuple(ToolCall(name) for name in applied_actions),
        available_knowledge=identifiers_of(given.get("applyrate.available.knowledge")),
        applied_knowledge=identifiers_of(given.get("applyrate.applied.knowledge")),
        applied_instructions=identifiers_of(given.get("applyrate.applied.instruction")),
    )
