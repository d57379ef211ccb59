"""What conversations with a resource come to, against those without it, and whether they differ."""

from typing import Final

from applyrate.answers import (
    GroupOutcomes,
    MeanScore,
    ResourceOutcomes,
    Share,
    Verdict,
    Verdicts,
)
from applyrate.usage import OutcomeGroup, Outcomes
from applyrate.wilson import mean_interval, share_interval

LEAST_SAMPLE: Final = 30
"""Of fewer conversations nothing is said."""

LOWEST_SCORE: Final = 1.0
HIGHEST_SCORE: Final = 5.0

_DECIMALS: Final = 6


def compare_outcomes(outcomes: Outcomes) -> ResourceOutcomes:
    """The shares and means of both groups with their 95 % intervals, and a verdict on each.

    Two differ where their intervals do not meet, which is stricter than a test at 5 %.
    """
    applied, not_applied = _measure(outcomes.applied), _measure(outcomes.not_applied)
    return ResourceOutcomes(
        applied,
        not_applied,
        Verdicts(
            _judge(applied.handoff, not_applied.handoff),
            _judge(applied.resolution, not_applied.resolution),
            _judge(applied.csat, not_applied.csat),
        ),
    )


def _measure(group: OutcomeGroup) -> GroupOutcomes:
    return GroupOutcomes(
        group.session_count,
        _share(group.handoff_count, group.session_count),
        _share(group.resolved_count, group.status_count),
        _mean(group.csat_mean, group.csat_count),
    )


def _share(count: int, sample_count: int) -> Share:
    share = round(count / sample_count, _DECIMALS) if sample_count else None
    low, high = share_interval(count, sample_count)
    return Share(count, sample_count, share, round(low, _DECIMALS), round(high, _DECIMALS))


def _mean(mean: float | None, sample_count: int) -> MeanScore:
    if mean is None:
        return MeanScore(0, None, LOWEST_SCORE, HIGHEST_SCORE)
    low, high = mean_interval(mean, sample_count, lowest=LOWEST_SCORE, highest=HIGHEST_SCORE)
    return MeanScore(
        sample_count, round(mean, _DECIMALS), round(low, _DECIMALS), round(high, _DECIMALS)
    )


def _judge(one: Share | MeanScore, other: Share | MeanScore) -> Verdict:
    if min(one.sample_count, other.sample_count) < LEAST_SAMPLE:
        return Verdict.TOO_FEW
    if one.low > other.high:
        return Verdict.HIGHER
    if one.high < other.low:
        return Verdict.LOWER
    return Verdict.NO_DIFFERENCE
