"""Spans become evidence by conventions: which attribute means what, in each dialect.

A dialect is a file here with ``read``, a pure function from a span to what it tells. Spans are
recognised by their operations and attributes, and not by the framework that made them.
"""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from applyrate.errors import InvalidInput
from applyrate.intake.conventions import (
    applyrate,
    genai,
    langfuse,
    openinference,
    traceloop,
    vercel,
)
from applyrate.intake.conventions.joining import join
from applyrate.intake.conventions.values import distinct, identifier_of, text_of
from applyrate.intake.spans import Evidence, ObservedSpan, Span, Value
from applyrate.settings import PREFIX, Settings

DIALECTS: Final[tuple[Callable[[Span], Evidence | None], ...]] = (
    applyrate.read,
    genai.read,
    openinference.read,
    traceloop.read,
    vercel.read,
    langfuse.read,
)

MAX_OUTPUT: Final = 4096
MAX_LABEL: Final = 128
MAX_LABELS: Final = 64


class Rules(Struct, frozen=True):
    """What an operator settles: the attributes that hold the conversation, what is excluded, and
    the pattern that finds cited ids in its first group.

    An excluded attribute has a value, or None for any.
    """

    conversation_attributes: tuple[str, ...] = ()
    exclude: tuple[tuple[str, str | None], ...] = ()
    citation: re.Pattern[str] | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules of the settings. Raises InvalidInput that names the variable and the fault."""
        return cls(
            conversation_attributes=settings.conversation_attributes,
            exclude=tuple(_exclusion(text) for text in settings.exclude_attributes),
            citation=_citation_pattern(settings.citation_pattern),
        )


def observe(span: Span, rules: Rules) -> ObservedSpan:
    """A span as it is kept: its place in its trace, and what it tells by all dialects. Pure."""
    found = [evidence for read in DIALECTS if (evidence := read(span)) is not None]
    evidence = join(found) if found else _NOTHING
    conversation = _conversation(span, rules)
    return ObservedSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        name=text_of(span.name),
        started_at=span.started_at,
        ended_at=span.ended_at,
        service=text_of(span.service),
        is_entry=span.is_entry,
        evidence=replace(
            evidence,
            cited=_citations(evidence.output, rules),
            output=evidence.output[:MAX_OUTPUT],
            conversation=conversation,
            labels={} if conversation else _labels(span),
            is_excluded=_is_excluded(span, rules),
        ),
    )


_NOTHING: Final = Evidence()


def _conversation(span: Span, rules: Rules) -> dict[str, str]:
    found = {}
    for given in (span.emitter, span.attributes):  # what the span says wins
        for name in given.keys() & rules.conversation_attributes:
            if (identifier := identifier_of(given[name])) is not None:
                found[name] = identifier
    return found


def _citations(output: str, rules: Rules) -> tuple[str, ...]:
    if rules.citation is None or not output:
        return ()
    return distinct(identifier_of(match[1]) for match in rules.citation.finditer(output))


def _labels(span: Span) -> dict[str, str]:
    labels: dict[str, str] = {}
    for given in (span.attributes, span.emitter):
        for name, value in given.items():
            if len(labels) == MAX_LABELS:
                return labels
            label = _label(value)
            if label and len(name) <= MAX_LABEL:
                labels.setdefault(text_of(name), label)
    return labels


def _label(value: Value) -> str:
    """A value that could be an id: a word, or a whole number. Sentences and JSON are content."""
    if isinstance(value, str):
        is_word = len(value) <= MAX_LABEL and value.isprintable() and " " not in value
        return value if is_word and value[:1] not in _OPENING else ""
    return identifier_of(value) or ""


_OPENING: Final = ("[", "{")


def _is_excluded(span: Span, rules: Rules) -> bool:
    return any(
        name in given and (value is None or value in _texts(given[name]))
        for name, value in rules.exclude
        for given in (span.attributes, span.emitter)
    )


def _texts(value: Value) -> list[str]:
    """A value as the settings would spell it; of an array, each of its values."""
    values = value if isinstance(value, list | tuple) else (value,)
    return [each if isinstance(each, str) else _scalar(each) for each in values]


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value)
    return identifier_of(value) or ""


def _exclusion(text: str) -> tuple[str, str | None]:
    name, given, value = text.partition("=")
    if not name.strip():
        raise InvalidInput(
            f"{PREFIX}EXCLUDE_ATTRIBUTES: {text!r} names no attribute; write NAME or NAME=VALUE"
        )
    return name.strip(), value.strip() if given else None


def _citation_pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    variable = f"{PREFIX}CITATION_PATTERN"
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidInput(f"{variable}: {text!r} is no regular expression: {error}") from None
    if not pattern.groups:
        raise InvalidInput(f"{variable}: {text!r} has no group; put the id in parentheses")
    return pattern
