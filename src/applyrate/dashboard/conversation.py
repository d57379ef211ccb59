"""One conversation: its replies in order, with what each had and what it applied."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from litestar import Response, get
from msgspec import Struct

from applyrate.api.request import Request
from applyrate.dashboard.addresses import CONVERSATION, OVERVIEW, resource_url
from applyrate.dashboard.pages import in_reader_thread, render
from applyrate.dashboard.queries import read_id
from applyrate.dashboard.views import (
    DEFAULT_TYPE,
    PICKED,
    TYPE_LABELS,
    View,
    may_see,
    read_view,
)
from applyrate.dashboard.windows import pick_window
from applyrate.errors import NotFound
from applyrate.store import Store
from applyrate.usage import Conversation, ReplyUsage, ResourceType


class Part(Struct, frozen=True, kw_only=True):
    """A resource of a reply; ``count`` is how often it was applied there."""

    resource_id: str
    name: str
    url: str
    count: int


class PartsOfType(Struct, frozen=True, kw_only=True):
    """A reply's resources of one type: those it applied, and those it only had."""

    label: str
    applied: Sequence[Part]
    unapplied: Sequence[Part]


class ReplyEntry(Struct, frozen=True, kw_only=True):
    """A reply; ``gap`` is the time since the one before, in words, empty for the first."""

    reply_id: str
    replied_at: datetime
    gap: str
    types: Sequence[PartsOfType]


class ConversationReport(Struct, frozen=True, kw_only=True):
    """What the page says. ``hidden_types`` are the labels of those that the key may not see.

    The handoff comes before the reply of index ``handoff_index``, which is that of the end where
    nothing followed; None without a handoff.
    """

    conversation: Conversation
    replies: Sequence[ReplyEntry]
    lasted: str
    hidden_types: Sequence[str]
    handoff_index: int | None


@get(CONVERSATION)
async def show_conversation(request: Request) -> Response[bytes]:
    """The page of the conversation that the query names. Raises NotFound for an unknown one."""
    request.caller.require(("chat-sessions:read",))
    seen = [kind for kind in TYPE_LABELS if may_see(request, kind)]
    view, session_id = _read_view(request, seen), read_id(request)
    read = partial(
        read_conversation, request.services.store, request.caller.org, view, session_id, seen
    )
    return render(
        request,
        "conversation.html",
        view=view,
        active=OVERVIEW,
        report=await in_reader_thread(request, read),
    )


def _read_view(request: Request, seen: Sequence[ResourceType]) -> View:
    """The view that the reader came from; who may see no type sees a conversation nevertheless."""
    if seen:
        return read_view(request)
    return View(DEFAULT_TYPE, pick_window(request.query_texts(*PICKED), datetime.now(UTC)))


def read_conversation(
    store: Store, org: str, view: View, session_id: str, seen: Sequence[ResourceType]
) -> ConversationReport:
    """The conversation with its resources of the types that may be seen. Raises NotFound."""
    conversation = store.conversation(org, session_id)
    if conversation is None:
        raise NotFound(f"id: no conversation {session_id!r} was recorded")
    names = {kind: _names(store, org, kind, _ids(conversation.replies, kind)) for kind in seen}
    entries = list[ReplyEntry]()
    for reply in conversation.replies:
        before = entries[-1].replied_at if entries else None
        entries.append(_entry(view, reply, before, names))
    return ConversationReport(
        conversation=conversation,
        replies=entries,
        lasted=write_length(entries[-1].replied_at - entries[0].replied_at) if entries else "",
        hidden_types=[label for kind, label in TYPE_LABELS.items() if kind not in seen],
        handoff_index=_handoff_index(conversation),
    )


def _entry(
    view: View,
    reply: ReplyUsage,
    before: datetime | None,
    names: Mapping[ResourceType, Mapping[str, str]],
) -> ReplyEntry:
    return ReplyEntry(
        reply_id=reply.reply_id,
        replied_at=reply.replied_at,
        gap="" if before is None else write_length(reply.replied_at - before),
        types=[
            parts
            for kind, known in names.items()
            if (parts := _parts(view, reply, kind, known)).applied or parts.unapplied
        ],
    )


def _parts(
    view: View, reply: ReplyUsage, kind: ResourceType, names: Mapping[str, str]
) -> PartsOfType:
    counts = Counter(reply.applied.get(kind, ()))

    def part(resource_id: str) -> Part:
        return Part(
            resource_id=resource_id,
            name=names.get(resource_id, resource_id),
            url=resource_url(view, kind, resource_id),
            count=counts[resource_id],
        )

    return PartsOfType(
        label=TYPE_LABELS[kind],
        applied=[part(resource_id) for resource_id in counts],
        unapplied=[
            part(resource_id)
            for resource_id in reply.available.get(kind, ())
            if resource_id not in counts
        ],
    )


def _ids(replies: Sequence[ReplyUsage], kind: ResourceType) -> Sequence[str]:
    return sorted(
        {
            resource_id
            for reply in replies
            for usages in (reply.available, reply.applied)
            for resource_id in usages.get(kind, ())
        }
    )


def _names(store: Store, org: str, kind: ResourceType, ids: Sequence[str]) -> Mapping[str, str]:
    known = store.catalogue(org, kind, ids)
    return {resource_id: entry.name for resource_id, entry in known.items() if entry.name}


def _handoff_index(conversation: Conversation) -> int | None:
    if conversation.handed_off_at is None:
        return None
    return sum(reply.replied_at <= conversation.handed_off_at for reply in conversation.replies)


def write_length(length: timedelta) -> str:
    """A length of time in its two largest units: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    seconds = round(length.total_seconds())
    for unit, name, smaller, smaller_name in _UNITS:
        if seconds >= unit:
            rest = seconds % unit // smaller
            return f"{seconds // unit} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{seconds} s"


_UNITS: Final = (
    (86_400, "d", 3_600, "h"),
    (3_600, "h", 60, "min"),
    (60, "min", 1, "s"),
)
