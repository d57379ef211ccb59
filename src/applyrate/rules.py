"""The rules that typed input can break, in words."""

import re
from typing import Final

from applyrate.usage import ResourceType

_NAMES: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
    "datetime": "an ISO 8601 date-time such as 2026-03-01T10:00:00Z",
}


def broken_rule(rule: str) -> str:
    """What a value fails to be, in our words, from msgspec's: "is not a whole number"."""
    if expected := re.fullmatch(r"Expected `([^`]+)`, got `[^`]+`", rule):
        names = [_NAMES.get(name, name) for name in expected[1].split(" | ")]
        return f"is not {' or '.join(names)}"
    if length := re.fullmatch(r"Expected `(\w+)` of length ([<>]=) (\d+)", rule):
        comparison = "shorter" if length[2] == ">=" else "longer"
        unit = "character" if length[1] == "str" else "item"
        return f"is {comparison} than {length[3]} {unit}{'' if length[3] == '1' else 's'}"
    if rule.startswith("Invalid enum value"):
        return f"is not one of {', '.join(ResourceType)}"  # the one enumeration that is sent
    if bound := re.fullmatch(r"Expected `\w+` ([<>]=) (\S+)", rule):
        comparison = "less" if bound[1] == ">=" else "greater"
        return f"is {comparison} than {bound[2].removesuffix('.0')}"
    return _SENTENCES.get(rule) or f"is refused: {rule}"


_SENTENCES: Final = {
    "Invalid RFC3339 encoded datetime": f"is not {_NAMES['datetime']}",
    "Expected `str` matching regex '^https?://'": "is no http or https address",
    "Number out of range": "is out of range",
}
