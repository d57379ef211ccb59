"""Counting the items of a JSON array without making them.

Two bytes of JSON may be an item, and an item of a decoded array takes a hundred.
"""

import re
from typing import Final


def may_have_more_items(array: bytes, most: int) -> bool:
    """Whether an array might have more than so many items: a quick look, never wrongly no."""
    return array.count(b",") >= most


def has_more_items(array: bytes, most: int) -> bool:
    """Whether a JSON array has more than so many items; no further is read.

    What is no JSON is for the decoder to refuse: of it, anything may be said.
    """
    depth = commas = 0
    for token in _TOKEN.finditer(array):
        kind = array[token.start()]
        if kind in _OPENING:
            depth += 1
        elif kind in _CLOSING:
            depth -= 1
        elif kind == _COMMA and depth == 1:
            commas += 1
            if commas >= most:
                return True
    return False


# A string, in which any of the others may stand, or one of the others.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_OPENING: Final = b"[{"
_CLOSING: Final = b"]}"
_COMMA: Final = ord(",")
