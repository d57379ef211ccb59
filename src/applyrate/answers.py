"""What the API answers, as the service writes it and the client reads it."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from applyrate.intake.replies import Rejection
from applyrate.keys import ApiKey
from applyrate.usage import (
    AuditEntry,
    ConversationUsage,
    ResourceType,
    ResourceUsage,
    UnusedResource,
    UsageSummary,
    Window,
)


class ResourceUsageList(Struct, frozen=True):
    """A page of a type's resources, most recent use first; ``next`` is null on the last one.

    ``applied_signal``: whether it is known of this type what was applied. Where it is false, no
    sender is able to report it, and an apply-rate of zero says nothing. ``previous_window``: the
    one that the rows are compared with, where that was asked for.
    """

    items: Sequence[ResourceUsage]
    next: str | None
    applied_signal: bool
    previous_window: Window | UnsetType = UNSET


class UsageComparison(UsageSummary, frozen=True, kw_only=True):
    """The counts of one resource inside a window, and in the same length of time before it."""

    previous: UsageSummary
    previous_window: Window


class TimelineBucket(Struct, frozen=True, kw_only=True):
    """The counts of one resource from ``from_at`` up to, and without, ``to_at``.

    The two times carry the offset of the timeline's time zone.
    """

    # The summary's fields are repeated, since what is inherited would come first.
    from_at: datetime
    to_at: datetime
    session_count: int
    applied_sessions: int
    applied_replies: int
    available_sessions: int
    available_replies: int
    first_used_at: datetime | None
    last_used_at: datetime | None


class Timeline(Struct, frozen=True):
    """The counts of one resource in every bucket of a window, in order, empty ones too."""

    interval: str
    timezone: str
    items: Sequence[TimelineBucket]


class UnusedList(Struct, frozen=True):
    """A page of the resources without an application, the most available first.

    ``applied_signal`` is false where no sender is able to report that one of the type was applied:
    then it is not known whether they are unused.
    """

    items: Sequence[UnusedResource]
    next: str | None
    applied_signal: bool


class Share(Struct, frozen=True):
    """``count`` of ``sample_count`` conversations, and its 95 % interval from ``low`` to ``high``.

    The share is null where there is none to count, and the interval then says nothing: 0 to 1.
    """

    count: int
    sample_count: int
    share: float | None
    low: float
    high: float


class MeanScore(Struct, frozen=True):
    """The mean of ``sample_count`` scores from 1 to 5, and its 95 % interval."""

    sample_count: int
    mean: float | None
    low: float
    high: float


class GroupOutcomes(Struct, frozen=True):
    """What became of a group of conversations: each fact among those of which it is known."""

    session_count: int
    handoff: Share
    resolution: Share
    csat: MeanScore


class Verdict(StrEnum):
    """How the conversations that applied a resource differ from those that did not.

    ``higher`` and ``lower``: their intervals do not meet. ``too_few``: a sample has less than 30.
    """

    HIGHER = "higher"
    LOWER = "lower"
    NO_DIFFERENCE = "no_difference"
    TOO_FEW = "too_few"


class Verdicts(Struct, frozen=True):
    """How the first group differs from the second."""

    handoff: Verdict
    resolution: Verdict
    csat: Verdict


class ResourceOutcomes(Struct, frozen=True):
    """What became of the conversations that applied a resource, and of those that only had it.

    The verdict tells of a difference, never of its cause.
    """

    applied: GroupOutcomes
    not_applied: GroupOutcomes
    verdict: Verdicts


class RejectedEntry(Struct, frozen=True):
    """Why one of the entries that were sent was not taken.

    ``index`` counts them from 0; ``id`` is null where it could not be read.
    """

    index: int
    id: str | None
    message: str


class CatalogueReceipt(Struct, frozen=True):
    """What became of the entries of a request; those accepted are on disk."""

    accepted: int
    rejected: Sequence[RejectedEntry]


class ConversationUsageList(Struct, frozen=True):
    """A page of the conversations that used a resource, newest first; null ``next`` ends it."""

    items: Sequence[ConversationUsage]
    next: str | None


class RecordingReceipt(Struct, frozen=True):
    """What became of the replies of a request; those accepted and duplicates are on disk.

    ``accepted`` brought something new, ``duplicates`` were known to the last usage. The three
    together are all that was sent; of more than 1000 rejections the last entry tells the number.
    Where the store is on other machines, all that breaks no rule by itself is accepted.
    """

    accepted: int
    duplicates: int
    rejected: Sequence[Rejection]


class CandidateAttribute(Struct, frozen=True):
    """An attribute that might hold the conversation: in how many of the traces, with which values.

    There are up to three examples, the newest first.
    """

    name: str
    trace_count: int
    examples: Sequence[str]


class UnattributedTraces(Struct, frozen=True, kw_only=True):
    """Traces of one service that gave no reply for the same reason.

    ``missing`` has ``conversation`` where no attribute names it, and ``reply`` where nothing in the
    traces answers anybody. ``problem`` says what else was wrong. ``attributes`` are counted in the
    newest 500 of the traces, the most promising first.
    """

    service: str
    trace_count: int
    first_at: datetime
    last_at: datetime
    missing: Sequence[str]
    problem: str | None
    dialects: Sequence[str]
    attributes: Sequence[CandidateAttribute]
    newest_trace_id: str


class UnattributedList(Struct, frozen=True):
    """The traces that gave no reply, by service, the most first.

    ``mapped_attributes`` are those that the organization's conversations are read from beside the
    settings' ones. ``waiting_count`` traces are still to be looked at, ``excluded_count`` are test
    traffic.
    """

    items: Sequence[UnattributedTraces]
    mapped_attributes: Sequence[str]
    waiting_count: int
    excluded_count: int


class Source(StrEnum):
    """By which way something came in.

    ``POST /replies``, ``PUT /conversations``, ``POST /v1/traces``, an import.
    """

    REPLIES = "replies"
    CONVERSATIONS = "conversations"
    TRACES = "traces"
    IMPORT = "import"


class RejectedInput(Struct, frozen=True, kw_only=True):
    """Something that came in and was not taken: a reply, a span, a line, or a request as a whole.

    ``index`` is its place among the replies of its request, counted from 0, and ``line`` its line
    in an imported file, counted from 1. What does not apply or could not be read is null.
    """

    rejected_at: datetime
    source: Source
    reason: str
    message: str
    index: int | None = None
    line: int | None = None
    reply_id: str | None = None
    trace_id: str | None = None


class RejectedDay(Struct, frozen=True):
    """How much was rejected on a UTC day."""

    day: date
    rejected_count: int


class RejectionReason(Struct, frozen=True, kw_only=True):
    """How much of one source was rejected for one reason in the last 30 days, and on which."""

    source: Source
    reason: str
    rejected_count: int
    last_at: datetime
    days: Sequence[RejectedDay]


class RejectedList(Struct, frozen=True):
    """A page of what was rejected, newest first, and all reasons for it, the most frequent first.

    The reasons count everything of the last 30 days; the rows are the newest 100 of it.
    """

    items: Sequence[RejectedInput]
    next: str | None
    reasons: Sequence[RejectionReason]


class Arrival(Struct, frozen=True, kw_only=True):
    """What came from one source and was taken: replies, or spans of the named ``service``."""

    source: Source
    service: str
    arrived_count: int
    last_at: datetime


class InboxDepth(Struct, frozen=True, kw_only=True):
    """What of an organization waits in the inbox, and since when the longest untouched trace does.

    ``arrivals`` are those of the last 24 hours, the largest first.
    """

    waiting_span_count: int
    waiting_trace_count: int
    waiting_since: datetime | None
    arrivals: Sequence[Arrival]


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """The key that is wanted. Without ``scopes`` it has full access; ``expires_at`` is optional."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: Annotated[list[str], Meta(min_length=1)] | None = None
    expires_at: datetime | None = None


class IssuedKey(ApiKey, frozen=True, kw_only=True):
    """A new key, shown this once as ``key``, with what is kept of it."""

    key: str


class KeyList(Struct, frozen=True):
    """The organization's keys, oldest first, revoked ones too."""

    items: Sequence[ApiKey]


class AuditList(Struct, frozen=True):
    """A page of the audit log, newest first; ``next`` is null on the last one."""

    items: Sequence[AuditEntry]
    next: str | None


class Health(Struct, frozen=True):
    """The service answers."""

    status: Literal["ok"] = "ok"


class PartStatus(StrEnum):
    """How a part of the service is; ``degraded`` is slower than it should be and does its work."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


class Part(Struct, frozen=True, omit_defaults=True):
    """How one part is; ``problem`` says what is wrong with it, where anything is."""

    status: PartStatus
    problem: str | UnsetType = UNSET


class ReadyParts(Struct, frozen=True):
    """Each part on which the service's readiness depends."""

    store: Part
    inbox: Part
    disk: Part
    migrations: Part
    span_processes: Part


class ReadinessReport(Struct, frozen=True):
    """The service is ready: no part of it is failing."""

    parts: ReadyParts
    status: Literal["ready"] = "ready"


class UsageChange(Struct, frozen=True):
    """The counts of a resource of all time, as they are after a change."""

    resource_type: ResourceType
    resource_id: str
    summary: UsageSummary
