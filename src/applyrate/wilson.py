"""Wilson's score interval: between which bounds a share lies that was seen in a sample.

E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the
American Statistical Association 22 (1927), pages 209 to 212. Unlike the textbook's interval it
stays inside 0 and 1, and is honest for small samples and for shares near either end.
"""

import math
from typing import Final, NamedTuple

Z_95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: 95 % of it lie within as many deviations."""


class Interval(NamedTuple):
    """Between which bounds the truth lies, in 95 of 100 samples."""

    low: float
    high: float


def share_interval(count: int, sample_count: int) -> Interval:
    """The interval of the share ``count / sample_count``.

    An empty sample tells nothing: 0 to 1.
    """
    return _interval(count / sample_count, sample_count) if sample_count else Interval(0.0, 1.0)


def mean_interval(mean: float, sample_count: int, *, lowest: float, highest: float) -> Interval:
    """The interval of the mean of scores that lie between ``lowest`` and ``highest``.

    Of all scores with one mean, those that lie at the two ends vary the most, and for these the
    mean is a share. So the interval of that share is never too narrow for any others.
    """
    if not sample_count:
        return Interval(lowest, highest)
    width = highest - lowest
    low, high = _interval(min(max((mean - lowest) / width, 0), 1), sample_count)
    return Interval(lowest + width * low, lowest + width * high)


def _interval(share: float, sample_count: int) -> Interval:
    weight = Z_95 * Z_95 / sample_count
    centre = share + weight / 2
    spread = Z_95 * math.sqrt(share * (1 - share) / sample_count + weight / (4 * sample_count))
    # What is exactly 0 or 1 comes out a few billionths of a billionth beside it.
    low = 0.0 if share == 0 else (centre - spread) / (1 + weight)
    high = 1.0 if share == 1 else (centre + spread) / (1 + weight)
    return Interval(low, high)
