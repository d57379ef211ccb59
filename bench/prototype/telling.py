"""The tables of what the prototype asks for, and whether it is reached."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bench.footprint import BYTES_A_USAGE
from bench.prototype.demands import PLAIN, POSTGRES, PROTOTYPE
from bench.prototype.measuring import Measured
from bench.questions import OURS
from bench.recording import Recorded
from bench.tables import NOTHING, Bar, Part, Table, milliseconds, significant, times, verdict
from bench.timing import Spread

RECORDING_RATIO = 2.3


class Held(NamedTuple):
    """What is held to so many times another's figure; ``asked`` is None where nothing is asked."""

    name: str
    ratio: float | None
    asked: float | None

    @property
    def reached(self) -> bool | None:
        """None where this run cannot tell."""
        if self.ratio is None or self.asked is None:
            return None
        return self.ratio >= self.asked


def tell_prototype(measured: Measured, *, judged: bool) -> Part:
    """Three tables, and a bar for all the ratios to PostgreSQL and to the prototype's ways."""
    thousands, *_ = measured.recorded
    to_postgres = [
        Held(demand.name, _ratio(spreads, PLAIN, POSTGRES), demand.postgres_ratio)
        for demand, spreads in measured.asked
    ]
    to_prototype = [
        Held(demand.name, _ratio(spreads, PROTOTYPE), demand.prototype_ratio)
        for demand, spreads in measured.asked
        if PROTOTYPE in spreads
    ]
    recording = Held("1,000 replies a commit", _recording_ratio(thousands), RECORDING_RATIO)
    return Part(
        [
            _recording(measured, recording, judged=judged),
            _questions(measured, to_postgres, judged=judged),
            _ways(measured, to_prototype, judged=judged),
        ],
        [
            _bar("the prototype's ratios to PostgreSQL", [recording, *to_postgres]),
            _bar("ratios to the prototype's ways", to_prototype),
        ],
    )


def _recording(measured: Measured, recording: Held, *, judged: bool) -> Table:
    thousands, singles = measured.recorded
    one_by_one = Held("one reply a commit", _recording_ratio(singles), None)
    rows = [
        [
            held.name,
            *(_rate(recorded, name) for name in (OURS, POSTGRES)),
            times(held.ratio),
            times(held.asked),
            verdict(reached=held.reached, judged=judged),
        ]
        for held, recorded in ((recording, thousands), (one_by_one, singles))
    ]
    ours, postgres = measured.disk[OURS], measured.disk.get(POSTGRES)
    rows.append(
        [
            "disk, bytes a usage",
            _bytes(ours, measured.usage_count),
            _bytes(postgres, measured.usage_count),
            times(postgres and postgres / ours),
            f"≤ {BYTES_A_USAGE}",
            verdict(reached=ours <= BYTES_A_USAGE * measured.usage_count, judged=judged),
        ]
    )
    loading = measured.loading
    return Table(
        "The prototype's figures: recording and disk",
        ("durable, deduplicated", OURS, POSTGRES, "ratio", "asked for", "reached"),
        rows,
        "Replies a second; in brackets a commit's median, shortest and longest. Before that the "
        f"store recorded its first {loading.replies:,} replies at "
        f"{loading.replies / loading.seconds:,.0f} a second.",
    )


def _questions(measured: Measured, held: list[Held], *, judged: bool) -> Table:
    rows = [
        [
            demand.name,
            milliseconds(spreads[OURS]),
            milliseconds(spreads.get(POSTGRES)),
            times(_ratio(spreads, POSTGRES)),
            milliseconds(spreads.get(PLAIN)),
            times(_ratio(spreads, PLAIN)),
            times(demand.postgres_ratio),
            verdict(reached=to_postgres.reached, judged=judged),
        ]
        for (demand, spreads), to_postgres in zip(measured.asked, held, strict=True)
    ]
    return Table(
        "The prototype's figures: questions",
        (
            *("p50 (least to most), ms", OURS, POSTGRES, "ratio", PLAIN, "ratio"),
            *("asked for", "reached"),
        ),
        rows,
        "Warm, in turns, each answer compared with the others' before it counts; a different "
        "window each time. Asked for is the prototype's ratio to PostgreSQL, which was asked "
        "plainly then: every row computed before the page is cut.",
    )


def _ways(measured: Measured, held: list[Held], *, judged: bool) -> Table:
    asked = [spreads for _, spreads in measured.asked if PROTOTYPE in spreads]
    return Table(
        "The prototype's ways",
        ("p50 (least to most), ms", OURS, PROTOTYPE, "ratio", "asked for", "reached"),
        [
            [
                to_prototype.name,
                milliseconds(spreads[OURS]),
                milliseconds(spreads[PROTOTYPE]),
                times(to_prototype.ratio),
                times(to_prototype.asked),
                verdict(reached=to_prototype.reached, judged=judged),
            ]
            for to_prototype, spreads in zip(held, asked, strict=True)
        ],
        "The same days, ordered and packed as the prototype had them, read as it read them.",
    )


def _bar(what: str, held: list[Held]) -> Bar:
    known = [one for one in held if one.reached is not None]
    short = [
        f"{one.name}: {significant(one.ratio or 0)} of {one.asked:g}"
        for one in known
        if not one.reached
    ]
    if not known:
        return Bar(what, "every one", NOTHING, None)
    told = f"{len(known) - len(short)} of {len(known)}"
    return Bar(what, "every one", "; ".join([told, *short]), not short)


def _ratio(spreads: Mapping[str, Spread], *names: str) -> float | None:
    """How many times faster the store is than the first of these that was asked."""
    known: Iterator[Spread] = (spreads[name] for name in names if name in spreads)
    other = next(known, None)
    return None if other is None else other.median / spreads[OURS].median


def _recording_ratio(recorded: Recorded) -> float | None:
    if POSTGRES not in recorded.seconds:
        return None
    return recorded.rate(OURS) / recorded.rate(POSTGRES)


def _rate(recorded: Recorded, engine: str) -> str:
    if engine not in recorded.seconds:
        return NOTHING
    return f"{recorded.rate(engine):,.0f} ({milliseconds(recorded.acknowledged[engine])} ms)"


def _bytes(size: int | None, usage_count: int) -> str:
    return NOTHING if size is None else f"{size / usage_count:.2f} ({size / 1e6:,.0f} MB)"
