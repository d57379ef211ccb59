"""What the API answers, as the service writes it and the client reads it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from applyrate.intake.replies import Rejection
from applyrate.keys import ApiKey
from applyrate.usage import ConversationUsage, ResourceUsage


class ResourceUsageList(Struct, frozen=True):
    """A page of a type's resources, most recent use first; ``next`` is null on the last one.

    ``applied_signal``: whether it is known of this type what was applied. Where it is false, no
    sender is able to report it, and an apply-rate of zero says nothing.
    """

    items: Sequence[ResourceUsage]
    next: str | None
    applied_signal: bool


class ConversationUsageList(Struct, frozen=True):
    """A page of the conversations that used a resource, newest first; null ``next`` ends it."""

    items: Sequence[ConversationUsage]
    next: str | None


class RecordingReceipt(Struct, frozen=True):
    """What became of the replies of a request; those accepted and duplicates are on disk.

    ``accepted`` brought something new, ``duplicates`` were known to the last usage. The three
    together are all that was sent; of more than 1000 rejections the last entry tells the number.
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


class Health(Struct, frozen=True):
    """The service answers."""

    status: Literal["ok"] = "ok"
