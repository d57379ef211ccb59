"""The rules that typed input can break, in words."""

import re
from typing import Final

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
    if bound := re.fullmatch(r"Expected `\w+` ([<>]=) (\S+)", rule):
        comparison = "less" if bound[1] == ">=" else "greater"
        return f"is {comparison} than {bound[2].removesuffix('.0')}"
    if rule == "Invalid RFC3339 encoded datetime":
        return f"is not {_NAMES['datetime']}"
    if rule == "Number out of range":
        return "is out of range"
    return f"is refused: {rule}"
