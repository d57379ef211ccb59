"""Outcomes for a reader: each fact with and without a resource, and what may be said of it."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from applyrate.answers import MeanScore, Share, Verdict
from applyrate.dashboard.figures import NOTHING, write_count, write_share
from applyrate.outcomes import HIGHEST_SCORE, LEAST_SAMPLE, LOWEST_SCORE, compare_outcomes
from applyrate.usage import Outcomes


class OutcomeCell(Struct, frozen=True, kw_only=True):
    """One group's figure with its 95 % interval.

    ``at``, ``low`` and ``high`` are places on the fact's scale, from 0 to 1; None without a figure.
    """

    figure: str
    sample: str
    interval: str
    at: float | None
    low: float
    high: float


class OutcomeRow(Struct, frozen=True, kw_only=True):
    """A fact of conversations that applied a resource, beside those that had it and did not.

    ``tone`` is ``good`` or ``bad`` where the groups differ, and else empty.
    """

    label: str
    applied: OutcomeCell
    not_applied: OutcomeCell
    verdict: str
    tone: str


def tell_outcomes(outcomes: Outcomes) -> Sequence[OutcomeRow]:
    """Handoffs, resolutions and satisfaction, in this order."""
    compared = compare_outcomes(outcomes)
    one, other, verdict = compared.applied, compared.not_applied, compared.verdict
    return [
        OutcomeRow(
            label="Handed off",
            applied=_share(one.handoff),
            not_applied=_share(other.handoff),
            verdict=_say(verdict.handoff, "More often with it", "Less often with it"),
            tone=_judge(verdict.handoff, better=Verdict.LOWER),
        ),
        OutcomeRow(
            label="Resolved",
            applied=_share(one.resolution),
            not_applied=_share(other.resolution),
            verdict=_say(verdict.resolution, "More often with it", "Less often with it"),
            tone=_judge(verdict.resolution, better=Verdict.HIGHER),
        ),
        OutcomeRow(
            label="Satisfaction (1 to 5)",
            applied=_mean(one.csat),
            not_applied=_mean(other.csat),
            verdict=_say(verdict.csat, "Higher with it", "Lower with it"),
            tone=_judge(verdict.csat, better=Verdict.HIGHER),
        ),
    ]


def _share(share: Share) -> OutcomeCell:
    return OutcomeCell(
        figure=write_share(share.share),
        sample=f"{write_count(share.count)} of {write_count(share.sample_count)}",
        interval=f"{write_share(share.low)} to {write_share(share.high)}",
        at=share.share,
        low=share.low,
        high=share.high,
    )


def _mean(score: MeanScore) -> OutcomeCell:
    return OutcomeCell(
        figure=NOTHING if score.mean is None else f"{score.mean:.1f}",
        sample=f"{write_count(score.sample_count)} rated",
        interval=f"{score.low:.1f} to {score.high:.1f}",
        at=None if score.mean is None else _place(score.mean),
        low=_place(score.low),
        high=_place(score.high),
    )


def _place(score: float) -> float:
    return (score - LOWEST_SCORE) / (HIGHEST_SCORE - LOWEST_SCORE)


_FEW: Final = f"Too few to say (fewer than {LEAST_SAMPLE} in a group)"


def _say(verdict: Verdict, higher: str, lower: str) -> str:
    match verdict:
        case Verdict.HIGHER:
            return higher
        case Verdict.LOWER:
            return lower
        case Verdict.NO_DIFFERENCE:
            return "No clear difference"
        case Verdict.TOO_FEW:
            return _FEW


def _judge(verdict: Verdict, *, better: Verdict) -> str:
    if verdict not in (Verdict.HIGHER, Verdict.LOWER):
        return ""
    return "good" if verdict is better else "bad"
