"""Intervals: the published figures, inside the bounds, and honest for small samples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.wilson import mean_interval, share_interval


@pytest.mark.parametrize(
    ("count", "sample_count", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
        # Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_the_published_one(
    count: int, sample_count: int, low: float, high: float
) -> None:
    interval = share_interval(count, sample_count)
    assert interval == pytest.approx((low, high), abs=0.00005)


def test_no_sample_tells_nothing() -> None:
    assert share_interval(0, 0) == (0, 1)
    assert mean_interval(1, 0, lowest=1, highest=5) == (1, 5)


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_stays_between_0_and_1(sample: tuple[int, int]) -> None:
    count, sample_count = sample
    low, high = share_interval(count, sample_count)
    assert 0 <= low <= count / sample_count <= high <= 1


@given(st.lists(st.floats(1, 5), min_size=1, max_size=200))
def test_the_interval_of_a_mean_is_never_narrower_than_its_scores_give(scores: list[float]) -> None:
    mean, size = math.fsum(scores) / len(scores), len(scores)
    low, high = mean_interval(mean, size, lowest=1, highest=5)
    assert 1 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 5
    # Wilson's interval with the variance of the scores themselves instead of the greatest one.
    variance = math.fsum((score - mean) ** 2 for score in scores) / size / 16
    share = (mean - 1) / 4
    assert variance <= share * (1 - share) + 1e-9


def test_a_mean_of_scores_at_the_ends_has_the_interval_of_a_share() -> None:
    low, high = share_interval(30, 40)
    assert mean_interval(4, 40, lowest=1, highest=5) == pytest.approx((1 + 4 * low, 1 + 4 * high))
