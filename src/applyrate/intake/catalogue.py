"""Entries of the catalogue as they are sent: one JSON object for each resource."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from applyrate.intake.decoding import decode, in_utc
from applyrate.usage import CatalogueEntry


def decode_entry(raw: bytes) -> CatalogueEntry:
    """The entry that a JSON object means, its time in UTC. Raises InvalidInput."""
    entry = decode(raw, _ENTRY, "the entry")
    if not isinstance(entry.published_at, datetime):
        return entry
    at = in_utc("published_at", entry.published_at)
    return msgspec.structs.replace(entry, published_at=at)


def read_entry_id(raw: bytes) -> str | None:
    """The id of an entry that is not usable as a whole, where it can be told."""
    try:
        resource_id = _NAMED.decode(raw).id
    except (ValueError, RecursionError):
        return None
    return resource_id if len(resource_id) <= _LONGEST_ID else None


class _Named(Struct):
    id: str


_LONGEST_ID: Final = 512
_ENTRY: Final = msgspec.json.Decoder(CatalogueEntry)
_NAMED: Final = msgspec.json.Decoder(_Named)
