"""What a page's query names beside its view."""

from typing import Final

from applyrate.api.request import LONGEST_IDENTIFIER, Request
from applyrate.errors import InvalidInput


def read_id(request: Request) -> str:
    """The ``id`` of what a page is about: 1 to 512 characters. Raises InvalidInput."""
    text = request.query_texts("id").get("id", "")
    if not text:
        raise InvalidInput("id: missing; the address of this page names what it is about")
    if len(text) > LONGEST_IDENTIFIER:
        raise InvalidInput(
            f"id: {text[:20]!r}… has {len(text)} characters; {LONGEST_IDENTIFIER} are the most"
        )
    if "\0" in text:
        raise InvalidInput(f"id: {text!r} contains the character U+0000, which no text may")
    return text


def read_page(request: Request) -> int:
    """The number of the page of a list, from 1. Raises InvalidInput."""
    text = request.query_texts("page").get("page") or "1"
    if text.isascii() and text.isdigit() and 1 <= int(text[:8]) <= _LAST_PAGE:
        return int(text[:8])
    raise InvalidInput(f"page: {text[:20]!r} is not a whole number from 1 to {_LAST_PAGE}")


_LAST_PAGE: Final = 1_000_000
