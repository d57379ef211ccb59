"""What attributes hold, read with tolerance: whatever the value is, nothing here raises."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from applyrate.intake.prompts import identifier
from applyrate.intake.spans import Value

_MAX_DIGITS: Final = 20


def text_of(value: Value) -> str:
    """The text that a value is, without characters that no store keeps; empty for any other."""
    if not isinstance(value, str):
        return ""
    return value if value.isprintable() else _BAD_CHARACTER.sub("\ufffd", value)


def identifier_of(value: Value) -> str | None:
    """The identifier that a text or a whole number is; None for any other, and for a blank one."""
    if isinstance(value, str):
        if not value or value.isspace():
            return None
        return identifier(text_of(value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_MAX_DIGITS:
        return str(value)
    return None


def identifiers_of(value: Value) -> tuple[str, ...]:
    """The identifiers of an array, native or in JSON, in its order; a single one is an array."""
    found = parsed(value)
    items = found if isinstance(found, list | tuple) else (value,)
    return tuple(each for item in items if (each := identifier_of(item)) is not None)


def parsed(value: Value) -> Value:
    """The array or object that a value is, or that its text is in JSON; None for any other."""
    if not isinstance(value, str):
        return value if isinstance(value, dict | list | tuple) else None
    if value[:1] not in _OPENING and value.lstrip(_WHITE_SPACE)[:1] not in _OPENING:
        return None
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        found = _parsed_leniently(value)
    return found if isinstance(found, dict | list) else None


def objects(value: Value) -> Iterator[Mapping[str, Value]]:
    """The objects of an array, each native or in JSON; a single object is an array of itself."""
    found = parsed(value)
    if isinstance(found, dict):
        yield found
    elif isinstance(found, list | tuple):
        for item in found:
            each = item if isinstance(item, dict) else parsed(item)
            if isinstance(each, dict):
                yield each


def indexed(holder: Mapping[str, Value], prefix: str) -> list[dict[str, Value]]:
    """The objects that names spell out, each by ``prefix``, its number, and a name of its own."""
    found: dict[str, dict[str, Value]] = {}
    start = len(prefix)
    for name in holder:
        if name.startswith(prefix):
            number, _, own = name[start:].partition(".")
            found.setdefault(number, {})[own] = holder[name]
    return [found[number] for number in sorted(found, key=lambda number: (len(number), number))]


def distinct(found: Iterable[str | None]) -> tuple[str, ...]:
    """What was found, each once, in its order."""
    return tuple(dict.fromkeys(each for each in found if each is not None))


def first_identifier(holder: Mapping[str, Value], names: tuple[str, ...]) -> str | None:
    """The first of the named values that is an identifier."""
    for name in names:
        if name in holder and (found := identifier_of(holder[name])) is not None:
            return found
    return None


_OPENING: Final = ("[", "{")
_WHITE_SPACE: Final = " \t\r\n"
_BAD_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


def _parsed_leniently(value: str) -> Value:
    """Python writes NaN, and half a surrogate pair, into what it calls JSON; and reads them."""
    try:
        found: Value = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found
