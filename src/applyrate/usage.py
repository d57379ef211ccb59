"""The vocabulary: what is recorded, what is asked, what is answered.

A *usage* is one resource in one reply, of one kind. Usages are a set: recording is set union and
every count is a function of the set, so that a repeated record changes none.

Times are aware datetimes in UTC with microseconds. A window is half open:
``from_at`` ≤ t < ``to_at``.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Final, Generic, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from applyrate.errors import InvalidInput


class ResourceType(StrEnum):
    """What an agent is made of."""

    ACTION = "action"
    INSTRUCTION = "instruction"
    KNOWLEDGE = "knowledge"


class UsageKind(StrEnum):
    """``available``: the resource was in the context. ``applied``: it was cited or invoked."""

    AVAILABLE = "available"
    APPLIED = "applied"


Identifier = Annotated[str, Meta(min_length=1, max_length=512)]
TicketNumber = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Message = Annotated[str, Meta(max_length=65_536)]
Status = Annotated[str, Meta(min_length=1, max_length=64)]
Csat = Annotated[float, Meta(ge=1, le=5)]
Name = Annotated[str, Meta(min_length=1, max_length=512)]
Url = Annotated[str, Meta(min_length=1, max_length=2048, pattern="^https?://")]


class Invocation(Struct, frozen=True, forbid_unknown_fields=True):
    """One call of an action, told apart from others in the same reply by the source's call id."""

    id: Identifier
    call_id: Identifier


class Available(Struct, frozen=True, forbid_unknown_fields=True):
    """The resources that were in the context of a reply."""

    instruction: list[Identifier] = []
    knowledge: list[Identifier] = []
    action: list[Identifier] = []


class Applied(Struct, frozen=True, forbid_unknown_fields=True):
    """The resources that a reply cited, and the actions it invoked, once for each invocation."""

    instruction: list[Identifier] = []
    knowledge: list[Identifier] = []
    action: list[Identifier | Invocation] = []


class Reply(Struct, frozen=True, forbid_unknown_fields=True):
    """What the agent sent back once, with everything that went into it.

    Its first record fixes its conversation and time. ``replied_at`` without an offset is UTC.
    """

    reply_id: Identifier
    session_id: Identifier
    replied_at: datetime
    available: Available = Available()
    applied: Applied = Applied()
    ticket_number: TicketNumber | None = None
    last_message: Message | None = None


class ConversationFacts(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a conversation beside its replies. A field left out stays as it is."""

    ticket_number: TicketNumber | UnsetType | None = UNSET
    last_message: Message | UnsetType | None = UNSET
    handed_off_at: datetime | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET
    csat: Csat | UnsetType | None = UNSET


class Window(Struct, frozen=True):
    """A half-open span of time: ``from_at`` ≤ t < ``to_at``; ``None`` is no bound."""

    from_at: datetime | None = None
    to_at: datetime | None = None

    @classmethod
    def parse(cls, from_: str | None = None, to: str | None = None) -> "Window":
        """The window that two ISO 8601 texts mean; a bare date means that whole UTC day.

        Raises InvalidInput where one is not ISO 8601, or ``from_`` comes after ``to``.
        """
        from_at = None if from_ is None else _span("from", from_)[0]
        to_start, to_at = (None, None) if to is None else _span("to", to)
        if from_at and to_start and to_at and from_at >= to_at and from_at > to_start:
            raise InvalidInput(
                f"from: {from_!r} is after to: {to!r}; a window starts before it ends"
            )
        return cls(from_at, to_at)

    def before(self) -> "Window":
        """The window of the same length that ends where this one starts.

        Raises InvalidInput where this one lacks an end, or that one would start before year 1.
        """
        if self.from_at is None or self.to_at is None:
            raise InvalidInput(
                "compare: a window without both ends has none before it; send from and to"
            )
        try:
            return Window(self.from_at - (self.to_at - self.from_at), self.from_at)
        except OverflowError:
            raise InvalidInput(
                "compare: the window before starts before the year 1; send a from that is nearer"
            ) from None


RESOLUTION = timedelta(microseconds=1)
_A_DAY = timedelta(days=1)
# A '+' that was not percent-encoded arrives as a space: T10:00:00 02:00 meant T10:00:00+02:00.
_LOST_PLUS = re.compile(r"(?<=T)(\S+) (\d\d:?\d\d)$")


def utc(value: datetime) -> datetime:
    """The same instant in UTC; a datetime without offset is taken as UTC.

    Raises OverflowError for an instant outside the years 1 to 9999.
    """
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _span(name: str, text: str) -> tuple[datetime, datetime]:
    """The first instant that a text means, and the first one after it (a date spans its day)."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        start = datetime.combine(day, time(), UTC)
        return start, start + _A_DAY if day < date.max else datetime.max.replace(tzinfo=UTC)
    try:
        instant = utc(datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text)))
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name}: {text!r} is not an ISO 8601 date or date-time") from None
    return instant, instant


class UsageSummary(Struct, frozen=True, kw_only=True):
    """The counts of one resource inside a window.

    Sessions are distinct conversations. ``applied_replies`` counts applications: each invocation of
    an action is one. The two times are of the first and last application, null when there is none.
    """

    session_count: int
    applied_sessions: int
    applied_replies: int
    available_sessions: int
    available_replies: int
    first_used_at: datetime | None
    last_used_at: datetime | None


class ResourceUsage(Struct, frozen=True, kw_only=True):
    """One row of the list: a resource's summary and the handoffs of the conversations it served.

    ``handoff_count``: of the conversations that applied it in the window, those handed off at any
    time. ``name``: a text by which a person recognises the resource, where one is known.
    ``previous``: its counts in another window, where it is compared with one.
    """

    # The summary's fields are repeated, since what is inherited would come first in the row.
    resource_id: str
    name: str | UnsetType = UNSET
    session_count: int
    applied_sessions: int
    applied_replies: int
    available_sessions: int
    available_replies: int
    handoff_count: int
    first_used_at: datetime | None
    last_used_at: datetime | None
    previous: UsageSummary | UnsetType = UNSET


class ConversationUsage(Struct, frozen=True, kw_only=True):
    """One conversation that used a resource: ``reply_count`` of its replies did, in the window."""

    session_id: str
    reply_count: int
    ticket_number: int | None
    last_message: str | None
    first_used_at: datetime
    last_used_at: datetime


class ResourcePosition(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in a list of resources: after this one, in the list's order.

    Newest application first, then those available only, then those without a fact; ties by id.
    """

    last_used_at: datetime | None
    without_fact: bool
    resource_id: str


class ConversationPosition(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in a list of conversations: newest use first, ties by ``session_id``."""

    last_used_at: datetime
    session_id: str


Item = TypeVar("Item")
Position = TypeVar("Position")


class Page(Struct, Generic[Item, Position], frozen=True):
    """A page of a list, and the position to go on from, ``None`` at the end."""

    items: Sequence[Item]
    next: Position | None


class RecordedReply(Struct, frozen=True):
    """What the first record of a reply fixed."""

    session_id: str
    replied_at: datetime


EVERY_TYPE = frozenset(ResourceType)


class Recording(Struct, frozen=True):
    """Replies that one organization sent together.

    ``names``: texts by which a person recognises resources, by type and id. A resource that has a
    name keeps it, and the name of one that nobody recorded, before or in the same transaction, is
    ignored. ``reports``: the types whose application the sender is able to report, unless it has no
    reply that is taken. A trace of model
    calls, say, tells which actions were invoked and cannot tell which instructions were followed.
    ``handed_off``: when conversations were handed off, by ``session_id``, as the same source tells
    it. The earliest counts, unless the fact was set for the conversation itself.
    """

    org: str
    replies: Sequence[Reply]
    names: Mapping[ResourceType, Mapping[str, str]] = {}
    reports: frozenset[ResourceType] = EVERY_TYPE
    handed_off: Mapping[str, datetime] = {}


ERASED: Final = "was erased; nothing of it is recorded again"
"""How a sentence ends that refuses something of an erased conversation."""


class Refusal(Struct, frozen=True):
    """Why the reply at ``index`` of a recording was not taken.

    ``is_gone``: its conversation was erased, or it is older than its organization keeps.
    """

    index: int
    reply_id: str
    message: str
    is_gone: bool = False


class Receipt(Struct, frozen=True):
    """What became of a recording, once it is on disk; the three together are all its replies.

    ``accepted`` brought something new, ``duplicates`` were known to the last usage. ``refused``
    contradict what is known (another conversation or another time for the same reply) or are gone.
    """

    accepted: int
    duplicates: int
    refused: Sequence[Refusal] = ()


# See: what a person looks at.


class CatalogueEntry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a resource beside its usages. A field left out stays as it is.

    ``keep``: a safety net that may stay unused. ``version`` with ``published_at`` is also noted
    among the versions that were published.
    """

    type: ResourceType
    id: Identifier
    name: Name | UnsetType | None = UNSET
    version: Name | UnsetType | None = UNSET
    url: Url | UnsetType | None = UNSET
    published_at: datetime | UnsetType | None = UNSET
    keep: bool | UnsetType = UNSET


class PublishedVersion(Struct, frozen=True):
    """A version of a resource, and since when it was in use."""

    version: str
    published_at: datetime


class CataloguedResource(Struct, frozen=True, kw_only=True):
    """What the catalogue says of a resource; ``versions`` are the oldest first."""

    name: str | None = None
    version: str | None = None
    url: str | None = None
    published_at: datetime | None = None
    keep: bool = False
    versions: Sequence[PublishedVersion] = ()


class UnusedReason(StrEnum):
    """Why nothing of a resource was applied in a window; the first that holds, in this order.

    Never is of all time before the window's end. One that stopped was applied before the window.
    """

    KEPT = "kept"
    STOPPED = "stopped"
    NEVER_APPLIED = "never_applied"
    NEVER_AVAILABLE = "never_available"


class UnusedResource(Struct, frozen=True, kw_only=True):
    """A resource without an application in a window.

    The two counts are of the window: how often it was in context for nothing. ``last_used_at`` is
    the last application of all time before the window's end, for one that stopped.
    """

    resource_id: str
    name: str | None
    url: str | None
    reason: UnusedReason
    available_replies: int
    available_sessions: int
    last_used_at: datetime | None


class UnusedPosition(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the list of unused resources: most available first, ties by id."""

    available_replies: Annotated[int, Meta(ge=0, le=2**62)]
    resource_id: str


class UnusedTotals(Struct, frozen=True):
    """How many resources are unused for a reason, and how often they were available in all."""

    resource_count: int
    available_replies: int


class UnusedTable(Struct, frozen=True, kw_only=True):
    """Some rows of a table of a type's unused resources, and what all of them come to.

    ``totals`` lacks the reasons that hold for none. ``most_available``: how often the most
    available of all of them was. ``available_replies``: how often any resource of the type was.
    """

    items: Sequence[UnusedResource]
    totals: Mapping[UnusedReason, UnusedTotals]
    most_available: int
    available_replies: int


class ResourceSort(StrEnum):
    """By what a table of resources is ordered.

    The apply-rate is ``applied_replies`` of ``available_replies``, the handoff share
    ``handoff_count`` of ``applied_sessions``. One without a value comes last in either order.
    """

    LAST_USED = "last_used"
    NAME = "name"
    APPLIED = "applied"
    AVAILABLE = "available"
    APPLY_RATE = "apply_rate"
    HANDOFF_SHARE = "handoff_share"


class RankedResource(Struct, frozen=True, kw_only=True):
    """One row of a table of resources, with no more than it takes to judge one.

    The counts are those of a ``ResourceUsage``; ``name`` is None where none is known.
    """

    resource_id: str
    name: str | None
    applied_sessions: int
    applied_replies: int
    available_replies: int
    handoff_count: int
    last_used_at: datetime | None


class RankedResources(Struct, frozen=True):
    """Some rows of a table of resources, and how many rows it has."""

    items: Sequence[RankedResource]
    match_count: int


class TypeTotals(Struct, frozen=True, kw_only=True):
    """A type's resources, seen or catalogued, and the conversations with a reply in the window."""

    resource_count: int
    applied_count: int
    session_count: int
    handoff_count: int

    @property
    def unused_count(self) -> int:
        """The resources without an application in the window."""
        return self.resource_count - self.applied_count


class UsageBucket(Struct, frozen=True):
    """The usages of a resource, or of all resources of a type, inside a span of time."""

    available_replies: int
    applied_replies: int


class OutcomeGroup(Struct, frozen=True, kw_only=True):
    """What became of some conversations.

    ``status_count`` of them have a status, ``resolved_count`` the status ``resolved`` (in any
    case), ``csat_count`` a satisfaction score, from 1 to 5, ``csat_mean`` on average.
    """

    session_count: int
    handoff_count: int
    status_count: int
    resolved_count: int
    csat_count: int
    csat_mean: float | None


class Outcomes(Struct, frozen=True):
    """The conversations that applied a resource in a window, and those that only had it there."""

    applied: OutcomeGroup
    not_applied: OutcomeGroup


class ReplyUsage(Struct, frozen=True):
    """What one reply had and applied; an action stands once for each invocation."""

    reply_id: str
    replied_at: datetime
    available: Mapping[ResourceType, Sequence[str]]
    applied: Mapping[ResourceType, Sequence[str]]


class Conversation(Struct, frozen=True, kw_only=True):
    """What is known of a conversation, and its replies in the order of their times."""

    session_id: str
    ticket_number: int | None
    last_message: str | None
    handed_off_at: datetime | None
    status: str | None
    csat: float | None
    replies: Sequence[ReplyUsage]


class UsageRow(Struct, frozen=True):
    """One usage, as it is exported; ``count`` is the number of invocations, 1 for what is none."""

    replied_at: datetime
    reply_id: str
    session_id: str
    resource_type: ResourceType
    resource_id: str
    usage: UsageKind
    count: int


class Changes(Struct, frozen=True):
    """The version of an organization's usages, and the resources that changed up to it."""

    version: int
    resources: Sequence[tuple[ResourceType, str]]


# Owners of the data: what is kept, what is erased, and who did what.

FOREVER = 0
"""The number of days that stands for no end."""

RetentionDays = Annotated[int, Meta(ge=0, le=36_500)]


class Keeping(Struct, frozen=True):
    """What a store keeps: the texts of messages or not, and replies for how many days.

    The days are those of an organization that has none of its own; 0 is for ever.
    """

    messages: bool = True
    days: int = FOREVER


class Erasure(Struct, frozen=True):
    """What is gone, of what had been there: conversations that nothing is left of, and replies."""

    session_count: int
    reply_count: int


class UnfinishedErasure(Struct, frozen=True):
    """A conversation that the store has erased and whose last traces elsewhere are to go.

    ``erasure_id`` is the store's own.
    """

    erasure_id: int
    org: str
    session_id: str
    reply_ids: Sequence[str]


class AuditAction(StrEnum):
    """What is noted in the audit log."""

    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    CONVERSATION_ERASE = "conversation.erase"
    MESSAGES_ERASE = "messages.erase"
    REPLIES_EXPIRE = "replies.expire"
    USAGES_EXPORT = "usages.export"
    RETENTION_SET = "retention.set"
    ATTRIBUTE_MAP = "attribute.map"
    RESOURCE_KEEP = "resource.keep"


COMMAND_LINE = "command-line"
"""The actor of whatever is done on the data folder itself."""

SERVICE = "service"
"""The actor of what the service does by itself."""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Who did what, and when.

    ``actor`` is a key (``key:`` and its id), a token's subject (``token:``), a session of the
    dashboard (``session:`` and the id of its key), ``command-line``, or ``service`` for what goes
    by itself. ``target`` is what it was done to: the id of a key, the name of an attribute, a
    resource as ``type/id``. An erased conversation stands there as a keyed digest of its id.
    """

    at: datetime
    actor: str
    action: AuditAction
    target: str | None = None
    detail: str | None = None


class AuditPosition(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in the audit log, newest first."""

    entry_id: Annotated[int, Meta(ge=0, le=2**62)]
