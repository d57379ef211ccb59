"""Reasons: the rule that a rejection's message tells, the same for every input that breaks it."""

import re
from typing import Final

_LONGEST: Final = 200
_LONGEST_READ: Final = 1_000


def reason_of(message: str) -> str:
    """The rule that a message tells, without the value that broke it and without its place.

    ``applied.action[2]: 5 is not a string`` becomes ``applied.action[]: is not a string``, so that
    the same fault has one name however often it is made.
    """
    text = _QUOTED.sub("…", re.sub(r"\[\d+\]", "[]", message[:_LONGEST_READ]))
    if not text.endswith(_NO_SUCH_FIELD):
        text = _VALUE.sub(r"\1\2", text)
    text = _PLACE.sub("", text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


_NO_SUCH_FIELD: Final = ": there is no such field"
# A path, the value that is shown of it, and the last words that can begin a rule.
_VALUE: Final = re.compile(r"^([^:]+: ).+ ((?:is|contains|lies) .+)$", re.DOTALL)
_PLACE: Final = re.compile(r" at (?:byte \d+|\d{4}-\d\d-\d\dT[\d:.]+Z)")
_QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
