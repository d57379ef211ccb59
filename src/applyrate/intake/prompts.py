"""The instructions that a system prompt names, by ids that its text alone gives."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

_MAX_IDENTIFIER = 512
_MAX_NAME = 200


def instructions(text: str) -> Mapping[str, str]:
    """The instructions that a system message names, in its order: the id, and a name for a person.

    Each markdown heading outside of a fenced code block is one: its id is the heading in lower
    case, every run of characters that are neither letters nor digits turned into one ``-``, and its
    name the heading as it stands. A text without headings is one instruction, ``sha256-`` and 12
    hex digits of the SHA-256 of the text with every run of white space turned into one space, named
    by the beginning of that. A text of white space alone is none.
    """
    return _remembered(text) if len(text) <= _MAX_REMEMBERED else _read(text)


def _read(text: str) -> Mapping[str, str]:
    named: dict[str, str] = {}
    for heading in _headings(text):
        named.setdefault(_slug(heading), shortened(heading))
    if not named and text.strip():
        named[_hashed(text)] = shortened(text)
    return MappingProxyType(named)


# An agent has the same few prompts all day; a cache of long ones would hold too much.
_remembered = lru_cache(maxsize=128)(_read)
_MAX_REMEMBERED = 65_536


def shortened(text: str) -> str:
    """A text as a name: white space turned into single spaces, at most 200 characters."""
    words = " ".join(text[: 8 * _MAX_NAME].split())
    return words if len(words) <= _MAX_NAME else words[: _MAX_NAME - 1] + "…"


def identifier(text: str) -> str:
    """The text where it is short enough for an identifier, else the SHA-256 of it."""
    if len(text) <= _MAX_IDENTIFIER:
        return text
    return "sha256-" + hashlib.sha256(text.encode()).hexdigest()


# ATX headings of CommonMark. They are found line by line and not by a CommonMark parser, since
# prompts wrap their sections in XML tags, after which CommonMark sees HTML and no heading; and
# underlined headings are left out, since prompts part their sections with lines of dashes.
_HEADING = re.compile(r" {0,3}#{1,6}(?![^ \t])")
_CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")


def _headings(text: str) -> Iterator[str]:
    fence = ""
    for line in text.splitlines():
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif opened := _FENCE.match(line):
            fence = opened[1]
        elif heading := _HEADING.match(line):
            words = _CLOSING.sub("", line[heading.end() :].strip()).strip()
            if words:
                yield words


# Letters, digits and the marks that belong to them (Devanagari's vowels); the invisible selector
# that follows many an emoji is such a mark too, and is none of a word.
_KEPT = ("L", "N", "Mn", "Mc")
_EMOJI_SELECTORS = re.compile("[\ufe00-\ufe0f]")


def _slug(heading: str) -> str:
    text = _EMOJI_SELECTORS.sub("", unicodedata.normalize("NFC", heading.lower()))
    kept = (c if unicodedata.category(c).startswith(_KEPT) else "-" for c in text)
    return identifier(re.sub("-+", "-", "".join(kept)).strip("-") or _hashed(heading))


def _hashed(text: str) -> str:
    return "sha256-" + hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]
