"""How calls are written: paths, queries and headers, and how the bodies of answers are read."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from applyrate.errors import InvalidInput

T = TypeVar("T")

Bound = datetime | date | str | None
"""An end of a window. A datetime without offset is UTC, a date is that whole UTC day, a text is
ISO 8601; None is no bound."""

JSON_HEADERS: Final = {"Content-Type": "application/json"}


def reading(answer: type[T]) -> Callable[[bytes], T]:
    """What reads a body as that type."""
    return msgspec.json.Decoder(answer).decode


def nothing(_: bytes) -> None:
    """What reads an answer that says nothing."""


def resource_path(resource_type: str, resource_id: str) -> str:
    """Where the questions about one resource begin. Raises InvalidInput."""
    resource_type = segment("resource_type", resource_type)
    return f"/resource-usage/{resource_type}/{segment('resource_id', resource_id)}"


def segment(name: str, text: str) -> str:
    """A text as one segment of a path. Raises InvalidInput that tells the name."""
    if not text:
        raise InvalidInput(f"{name}: '' is shorter than 1 character")
    try:
        encoded = quote(text, safe="")
    except UnicodeEncodeError:
        raise InvalidInput(f"{name}: {text!r} contains half a surrogate pair") from None
    # A segment of dots alone would mean this folder or the one above.
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


def query(*, from_: Bound = None, to: Bound = None, **others: str | int | None) -> dict[str, str]:
    """The parameters that were given, as text."""
    values = {"from": from_, "to": to, **others}
    return {
        name: value.isoformat() if isinstance(value, date) else str(value)
        for name, value in values.items()
        if value is not None
    }
