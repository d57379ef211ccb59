"""What both encodings have in common: the rules that a span must keep, and how one is refused."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from applyrate.errors import InvalidInput, PayloadTooLarge
from applyrate.intake.reasons import reason_of
from applyrate.intake.spans import Span, Value

MAX_SPANS: Final = 100_000
"""A request holds no more, so that a small body cannot become very many spans."""

MAX_DEPTH: Final = 32
"""How deep arrays and objects may be nested in an attribute."""

MAX_TOLD: Final = 3
"""So many refused spans are told with their reason; the rest are counted."""


MAX_LISTED: Final = 100
"""So many are listed one by one."""


class Refusal(Exception):
    """A span breaks a rule, and would when it is sent again."""


class RefusedSpan(Struct, frozen=True, array_like=True):
    """A span that was refused: its place, the rule that it breaks, its trace if that is known."""

    place: str
    rule: str
    trace_id: str | None


class Decoded(Struct):
    """The spans of a request, and how many were refused for good, with the first reasons.

    ``refused`` are the first MAX_LISTED of them, ``rules`` how many broke which.
    """

    spans: list[Span] = []
    refused_count: int = 0
    reasons: list[str] = []
    refused: list[RefusedSpan] = []
    rules: dict[str, int] = {}

    def refuse(self, place: str, reason: Refusal, trace_id: str | None) -> None:
        """Count a span as refused, of the trace that it names, if it names one."""
        self.refused_count += 1
        if len(self.reasons) < MAX_TOLD:
            self.reasons.append(f"{place}.{reason}")
        if len(self.refused) < MAX_LISTED:
            self.refused.append(RefusedSpan(place, str(reason), trace_id))
        rule = reason_of(str(reason))
        self.rules[rule] = self.rules.get(rule, 0) + 1

    @property
    def message(self) -> str:
        """Why spans were refused, in a sentence; empty where none was."""
        untold = self.refused_count - len(self.reasons)
        return "; ".join([*self.reasons, f"and {untold} more"] if untold else self.reasons)


class Emitter(Struct, frozen=True):
    """Whatever emitted spans: all of its attributes, and its ``service.name`` among them."""

    attributes: Mapping[str, Value]
    service: str


def emitter_of(attributes: Mapping[str, Value]) -> Emitter:
    """The emitter that has these attributes."""
    service = attributes.get("service.name")
    return Emitter(attributes, service if isinstance(service, str) else "")


def emitter_fault(place: int, reason: Refusal) -> InvalidInput:
    """What to raise where the attributes of a request's emitter break a rule."""
    return InvalidInput(f"the body: resourceSpans[{place}].resource.{reason}")


def place_of(emitter: int, scope: int, span: int) -> str:
    """How a message names a span."""
    return f"resourceSpans[{emitter}].scopeSpans[{scope}].spans[{span}]"


def check_count(count: int) -> None:
    """Raise PayloadTooLarge for more spans than a request may hold."""
    if count > MAX_SPANS:
        raise PayloadTooLarge(f"the body: more than {MAX_SPANS} spans; send fewer at once")


def check_depth(depth: int) -> None:
    """Raise Refusal for a value that is nested too deeply."""
    if depth > MAX_DEPTH:
        raise Refusal(f"attributes: one is nested more than {MAX_DEPTH} levels deep")


def read_times(started_ns: int, ended_ns: int) -> tuple[int, int]:
    """When a span started and ended, in microseconds. A missing time is taken from the other.

    Raises Refusal where both are missing.
    """
    if not started_ns and not ended_ns:
        raise Refusal("endTimeUnixNano: required, and missing")
    return (started_ns or ended_ns) // 1000, (ended_ns or started_ns) // 1000


def is_entry(kind: int | str | None, flags: int) -> bool:
    """Whether the parent of a span that has one is said to be in another process."""
    if flags & _TELLS_WHERE_PARENT_IS:
        return bool(flags & _PARENT_IS_ELSEWHERE)
    return kind in _KINDS_OF_ENTRY


# Bits 8 and 9 of a span's flags. Emitters older than the flags say it by two of the kinds, whose
# parent is whoever called or sent.
_TELLS_WHERE_PARENT_IS: Final = 0x100
_PARENT_IS_ELSEWHERE: Final = 0x200
_KINDS_OF_ENTRY: Final = (2, 5, "SPAN_KIND_SERVER", "SPAN_KIND_CONSUMER")
