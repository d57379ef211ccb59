"""The instructions that a span had in its context, by id, each with a name for a person.

An id that a part of the system instructions carries is the instruction's. A prompt that has a name
is one instruction of that name, and its text gives none of its own. Any other text gives ids by the
rule of ``prompts.instructions``.
"""

from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from applyrate.intake.conventions.messages import part_text
from applyrate.intake.conventions.values import identifier_of, parsed, text_of
from applyrate.intake.prompts import instructions, shortened
from applyrate.intake.spans import Span, Value

PROMPT_NAMES: Final = (
    "gen_ai.prompt.name",
    "prompt.id",
    "traceloop.prompt.key",
    "langfuse.observation.prompt.name",
)

_MAX_REMEMBERED: Final = 65_536


def read_instructions(
    span: Span, contents: Iterable[Value], prompt: Value = None
) -> dict[str, str]:
    """The instructions of a span: a prompt's name, and what the contents of system messages give.

    A content is a text, or an array of parts, native or in JSON.
    """
    found: dict[str, str] = {}
    if prompt is not None and (name := identifier_of(prompt)) is not None:
        found[name] = ""
    is_named = any(name in span.attributes for name in PROMPT_NAMES)
    for content in contents:
        if isinstance(content, str) and len(content) <= _MAX_REMEMBERED:
            found |= _remembered(content, is_named)
        else:
            found |= _instructions(content, is_named)
    return found


@lru_cache(maxsize=128)
def _remembered(content: str, is_named: bool) -> MappingProxyType[str, str]:  # noqa: FBT001
    """Every model call of an agent has the same system prompt."""
    return MappingProxyType(_instructions(content, is_named))


def _instructions(content: Value, is_named: bool) -> dict[str, str]:  # noqa: FBT001
    found: dict[str, str] = {}
    value = parsed(content)
    parts = value if isinstance(value, list | tuple) else (content if value is None else value,)
    for part in parts:
        text = part_text(part)
        own = part if isinstance(part, dict) else {}
        # A framework may record a part that the model does not see.
        if own.get("visible") is False:
            continue
        if (own_id := identifier_of(own.get("id"))) is not None:
            found[own_id] = shortened(text_of(own.get("name")) or text)
        elif not is_named:
            found |= instructions(text)
    return found
