"""Operations that record or administer, as values like those of ``questions``."""

import gzip
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from applyrate.answers import CatalogueReceipt, Health, IssuedKey, KeyList, NewKey, RecordingReceipt
from applyrate.client.calls import Call
from applyrate.client.wire import JSON_HEADERS, nothing, reading, segment
from applyrate.keys import ApiKey
from applyrate.usage import CatalogueEntry, ConversationFacts, Reply


def set_resources(entries: CatalogueEntry | Iterable[CatalogueEntry]) -> Call[CatalogueReceipt]:
    """Set what is known of resources: of each the named fields; None takes one back.

    At most 10,000 in one call. Raises InvalidInput where there were some and none was usable.
    """
    given = [entries] if isinstance(entries, CatalogueEntry) else list(entries)
    return Call(
        method="PUT",
        path="/resources",
        body=msgspec.json.encode(given),
        headers=JSON_HEADERS,
        read=reading(CatalogueReceipt),
    )


def record(replies: Reply | Iterable[Reply]) -> Call[RecordingReceipt]:
    """Record replies; what the receipt calls accepted is on disk.

    They travel in one request. Raises InvalidInput where there were some and none was usable.
    """
    given = [replies] if isinstance(replies, Reply) else replies
    return record_lines(map(msgspec.json.encode, given))


def record_lines(lines: Iterable[bytes]) -> Call[RecordingReceipt]:
    """The same for replies that are JSON already, each without a line break."""
    return Call(
        method="POST",
        path="/replies",
        body=gzip.compress(b"\n".join(lines), _QUICK, mtime=0),
        headers={"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
        read=reading(RecordingReceipt),
    )


_QUICK: Final = 3


def set_conversation(
    session_id: str,
    *,
    ticket_number: int | UnsetType | None = UNSET,
    last_message: str | UnsetType | None = UNSET,
    handed_off_at: datetime | UnsetType | None = UNSET,
    status: str | UnsetType | None = UNSET,
    csat: float | UnsetType | None = UNSET,
) -> Call[None]:
    """Set what is known of a conversation: the named facts; None takes one back."""
    facts = ConversationFacts(ticket_number, last_message, handed_off_at, status, csat)
    return Call(
        method="PUT",
        path=f"/conversations/{segment('session_id', session_id)}",
        body=msgspec.json.encode(facts),
        headers=JSON_HEADERS,
        read=nothing,
    )


def erase_conversation(session_id: str) -> Call[None]:
    """Erase a conversation with all of its replies, whether or not any is known; for good."""
    return Call(
        method="DELETE",
        path=f"/conversations/{segment('session_id', session_id)}",
        read=nothing,
    )


def create_key(
    name: str, *, scopes: Sequence[str] | None = None, expires_at: datetime | None = None
) -> Call[IssuedKey]:
    """Make a key of the caller's organization, full access without ``scopes``; shown this once."""
    wanted = NewKey(name, None if scopes is None else list(scopes), expires_at)
    return Call(
        method="POST",
        path="/keys",
        body=msgspec.json.encode(wanted),
        headers=JSON_HEADERS,
        read=reading(IssuedKey),
        repeatable=False,
    )


def keys() -> Call[Sequence[ApiKey]]:
    """The organization's keys, oldest first, revoked ones too."""
    read = reading(KeyList)
    return Call(method="GET", path="/keys", read=lambda body: read(body).items)


def revoke_key(key_id: str) -> Call[ApiKey]:
    """Revoke a key for good. Raises NotFound where the organization has none of that id."""
    path = f"/keys/{segment('key_id', key_id)}"
    return Call(method="DELETE", path=path, read=reading(ApiKey))


def health() -> Call[Health]:
    """That the service answers; needs no key."""
    return Call(method="GET", path="/health/live", read=reading(Health))


def document() -> Call[dict[str, Any]]:
    """The OpenAPI document of the service; needs no key."""
    return Call(method="GET", path="/openapi.json", read=reading(dict[str, Any]))
