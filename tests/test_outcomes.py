"""Outcomes of two groups: shares of what is known, and a verdict only where there is one."""

import pytest

from applyrate.answers import Verdict
from applyrate.outcomes import compare_outcomes
from applyrate.usage import OutcomeGroup, Outcomes


def group(sessions: int, **known: int | float | None) -> OutcomeGroup:
    nothing: dict[str, int | float | None] = {
        "handoff_count": 0,
        "status_count": 0,
        "resolved_count": 0,
        "csat_count": 0,
        "csat_mean": None,
    }
    return OutcomeGroup(session_count=sessions, **(nothing | known))  # type: ignore[arg-type]


NOTHING = group(0)


def test_each_fact_is_counted_among_those_of_which_it_is_known() -> None:
    known = group(
        100, handoff_count=10, status_count=40, resolved_count=30, csat_count=20, csat_mean=4.25
    )
    told = compare_outcomes(Outcomes(known, NOTHING)).applied
    assert told.session_count == 100
    assert (told.handoff.count, told.handoff.sample_count, told.handoff.share) == (10, 100, 0.1)
    assert (told.resolution.count, told.resolution.sample_count) == (30, 40)
    assert (told.csat.sample_count, told.csat.mean) == (20, 4.25)
    assert told.handoff.low == pytest.approx(0.0552, abs=0.0001)
    assert told.handoff.high == pytest.approx(0.1744, abs=0.0001)


def test_nothing_known_is_null_between_the_bounds() -> None:
    told = compare_outcomes(Outcomes(NOTHING, NOTHING)).applied
    assert (told.handoff.share, told.handoff.low, told.handoff.high) == (None, 0, 1)
    assert (told.csat.mean, told.csat.low, told.csat.high) == (None, 1, 5)


@pytest.mark.parametrize(
    ("applied", "not_applied", "verdict"),
    [
        ((30, 30), (0, 30), Verdict.HIGHER),
        ((0, 30), (30, 30), Verdict.LOWER),
        ((3, 30), (4, 30), Verdict.NO_DIFFERENCE),
        ((30, 30), (0, 29), Verdict.TOO_FEW),
        ((29, 29), (0, 5000), Verdict.TOO_FEW),
        ((0, 0), (0, 0), Verdict.TOO_FEW),
        ((100, 1000), (50, 1000), Verdict.HIGHER),
        ((100, 1000), (80, 1000), Verdict.NO_DIFFERENCE),
    ],
)
def test_a_verdict_needs_30_conversations_and_intervals_that_do_not_meet(
    applied: tuple[int, int], not_applied: tuple[int, int], verdict: Verdict
) -> None:
    one, other = (
        group(size, handoff_count=count, status_count=size, resolved_count=count)
        for count, size in (applied, not_applied)
    )
    told = compare_outcomes(Outcomes(one, other)).verdict
    assert (told.handoff, told.resolution) == (verdict, verdict)


@pytest.mark.parametrize(
    ("applied", "not_applied", "verdict"),
    [
        ((5.0, 100), (1.0, 100), Verdict.HIGHER),
        ((2.0, 100), (4.0, 100), Verdict.LOWER),
        ((4.0, 100), (4.2, 100), Verdict.NO_DIFFERENCE),
        ((5.0, 100), (1.0, 29), Verdict.TOO_FEW),
    ],
)
def test_satisfaction_is_judged_by_its_mean(
    applied: tuple[float, int], not_applied: tuple[float, int], verdict: Verdict
) -> None:
    one, other = (
        group(size, csat_count=size, csat_mean=mean) for mean, size in (applied, not_applied)
    )
    told = compare_outcomes(Outcomes(one, other))
    assert told.verdict.csat == verdict
    assert told.applied.csat.low <= applied[0] <= told.applied.csat.high
