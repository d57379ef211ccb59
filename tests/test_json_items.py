"""Counting the items of an array: exactly, whatever stands inside of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.intake.json_items import has_more_items, may_have_more_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='",\\[]{}a\n', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(
    st.lists(VALUES, max_size=8), st.integers(1, 9), st.sampled_from([(",", ":"), (" , ", " : ")])
)
def test_the_items_of_an_array_are_counted_exactly(
    items: list[Any], most: int, separators: tuple[str, str]
) -> None:
    array = json.dumps(items, separators=separators).encode()
    assert has_more_items(array, most) == (len(items) > most)
    if len(items) > most:
        assert may_have_more_items(array, most)


@pytest.mark.parametrize("array", [b"", b"[", b"]]]", b'["', b'["\\', b"[,,,,", b"\xff[,]"])
def test_what_is_no_json_is_counted_without_a_fault(array: bytes) -> None:
    assert has_more_items(array, 3) in {True, False}


def test_counting_ends_where_there_are_enough() -> None:
    assert has_more_items(b"[" + b"0," * 8_000_000, 10)
