"""JSON into typed values, with errors that name the field, its value and the rule it breaks."""

import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from applyrate.errors import InvalidInput
from applyrate.rules import broken_rule
from applyrate.usage import utc

T = TypeVar("T")

_SHOWN_CHARACTERS: Final = 80


def decode(raw: bytes, decoder: msgspec.json.Decoder[T], subject: str) -> T:
    """The value that a JSON text means. ``subject`` names the whole of it in messages.

    Raises InvalidInput, also for text that no store keeps: half a surrogate pair, U+0000.
    """
    value = parse(raw, decoder, subject)
    if b"\\u0000" in raw:
        try:
            _refuse_bad_text("", _load(raw))
        except UnicodeDecodeError:
            raise InvalidInput(f"{subject}: not UTF-8") from None
        except RecursionError:
            raise InvalidInput(f"{subject}: nested too deeply") from None
    return value


def parse(raw: bytes, decoder: msgspec.json.Decoder[T], subject: str) -> T:
    """The same, with U+0000 wherever it stands: for what is only to be taken apart."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidInput(explain(error, raw, subject)) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{subject}: not UTF-8") from None
    except msgspec.DecodeError as error:
        with suppress(ValueError, RecursionError):
            _refuse_bad_text("", _load(raw))
        raise InvalidInput(f"{subject}: {_malformed(error)}") from None
    except RecursionError:
        raise InvalidInput(f"{subject}: nested too deeply") from None


def explain(error: msgspec.ValidationError, raw: bytes, subject: str) -> str:
    """The sentence for a validation error: field, value, rule.

    ``Expected `str`, got `int` - at `$.applied.instruction[2]``` becomes
    ``applied.instruction[2]: 5 is not a string``.
    """
    rule, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if missing := re.fullmatch(r"Object missing required field `(.+)`", rule):
        return f"{_join(path, missing[1])}: required, and missing"
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", rule, re.DOTALL):
        return f"{_join(path, _cut(unknown[1]))}: there is no such field"
    value = shown(_value_at(path, raw))
    return f"{path or subject}: {value} {broken_rule(rule)}"


def shown(value: object) -> str:
    """A value as a message quotes it: short, on one line."""
    if isinstance(value, str):
        text = repr(value)
    elif value is msgspec.UNSET:
        return "the value"
    else:
        text = msgspec.json.encode(value).decode()
    return _cut(text)


def in_utc(field: str, at: datetime) -> datetime:
    """A field's time in UTC. Raises InvalidInput where UTC has no such year."""
    try:
        return utc(at)
    except OverflowError:
        raise InvalidInput(
            f"{field}: {shown(at.isoformat())} lies outside the years 1 to 9999 in UTC"
        ) from None


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _malformed(error: msgspec.DecodeError) -> str:
    if str(error) == "Input data was truncated":
        return "not JSON: it ends too early"
    return re.sub(r"JSON is malformed: (.*) \(byte (\d+)\)", r"not JSON: \1 at byte \2", str(error))


def _value_at(path: str, raw: bytes) -> object:
    """What stands at a path in a JSON text; UNSET where it cannot be read."""
    try:
        value: Any = msgspec.json.decode(raw)
        for step in re.findall(r"[^.\[\]]+", path):
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (ValueError, LookupError, TypeError, RecursionError):
        return msgspec.UNSET
    return value


def _load(raw: bytes) -> Any:
    """What a JSON text says, for its texts: Python takes no whole number of 4,300 digits."""
    return json.loads(raw, parse_int=float)


def _refuse_bad_text(path: str, value: Any) -> None:
    if isinstance(value, str):
        if bad := _BAD_CHARACTER.search(value):
            what = "half a surrogate pair" if ord(bad[0]) else "the character U+0000"
            raise InvalidInput(f"{path}: {shown(value)} contains {what}, which no text may")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _refuse_bad_text(f"{path}[{place}]", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_bad_text(_join(path, _cut(repr(name)[1:-1])), item)


_BAD_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
