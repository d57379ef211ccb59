"""The names of tools that a model was offered, in the shapes that providers give them."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from applyrate.intake.conventions.values import identifier_of, parsed
from applyrate.intake.spans import Value

_MAX_REMEMBERED: Final = 65_536
_MAX_DEPTH: Final = 3
# The places at which providers nest a definition, or several.
_NESTED: Final = ("function", "toolSpec", "functionDeclarations", "function_declarations", "tools")


def tool_names(value: Value) -> tuple[str, ...]:
    """The names in tool definitions, in their order; a definition without a name has none."""
    if isinstance(value, str) and len(value) <= _MAX_REMEMBERED:
        return _remembered(value)
    return tuple(dict.fromkeys(_names(value, _MAX_DEPTH)))


@lru_cache(maxsize=128)
def _remembered(text: str) -> tuple[str, ...]:
    """Every model call of an agent offers the same tools, in the same text."""
    return tuple(dict.fromkeys(_names(text, _MAX_DEPTH)))


def _names(value: Value, depth: int) -> Iterator[str]:
    found = parsed(value)
    if isinstance(found, dict):
        name = identifier_of(found.get("name"))
        if name is not None:
            yield name
        elif depth:
            for place in _NESTED:
                if place in found:
                    yield from _names(found[place], depth - 1)
    elif isinstance(found, list | tuple):
        for item in found if depth else ():
            yield from _names(item, depth - 1)
    elif depth < _MAX_DEPTH and isinstance(value, str) and (name := identifier_of(value)):
        yield name
