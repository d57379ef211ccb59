"""A bitmap comes back from its bytes, whatever form they have."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from applyrate.store.sqlite.packing import pack, unpack


@settings(deadline=None)  # a large bitmap is slow to draw
@given(
    base=st.sampled_from([0, 1, 30_000, 60_000, 65_535, 3 * 65_536 - 700, 2**32 - 200_000]),
    span=st.sampled_from([1, 40, 1_400, 5_555, 20_000, 60_000, 70_000]),
    share=st.sampled_from([0.001, 0.02, 0.1, 0.3, 0.75, 1]),
    seed=st.integers(0, 2**32),
)
def test_a_bitmap_of_any_density_comes_back(base: int, span: int, share: float, seed: int) -> None:
    random = Random(seed)  # noqa: S311 (not a secret)
    bitmap = BitMap([base, *(base + at for at in range(span) if random.random() < share)])
    assert unpack(pack(bitmap)) == bitmap
    assert unpack(pack(unpack(pack(bitmap)))) == bitmap


def test_a_busy_day_takes_a_bit_for_each_reply() -> None:
    every_third = BitMap(range(200_000, 205_555, 3))
    assert len(pack(every_third)) < 5_555 / 8 + 10 < len(every_third.serialize()) / 5


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x01",
        b"\x01abc",
        b"no bitmap",
        pack(BitMap(range(0, 5_555, 3)))[:-100] + b"\0" * 9_000,
    ],
)
def test_bytes_that_are_no_bitmap_are_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"bitmap|container"):
        unpack(damaged)
