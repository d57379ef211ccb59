"""Measuring how the store's times grow with its data, beside a store of the usual size."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import msgspec
from rich.progress import Progress

from applyrate.store import Store, open_store
from applyrate.usage import Recording, ResourceType, UsageKind, Window
from bench.building import Cache, copied, record_replies, store_sources
from bench.generator import DAYS, FIRST_DAY, ORG, Workload
from bench.questions import HOT_SHARE, MID_SHARE, PAGE
from bench.tables import Part, Table, at_most, milliseconds, times
from bench.timing import Patience, Spread, ask_in_turns, spread_of
from bench.warmth import Warmth

USUAL, GROWN = "the usual", "grown"
_BATCH = 1000
_COMMITS = 8


class Growth(NamedTuple):
    """One way to grow: so many times the replies over so many days, and what may become slower.

    ``held`` are the questions that are held to that.
    """

    title: str
    times: int
    days: int
    windows: float
    all_time: float
    recording: float
    held: str = ""


GROWTHS = {
    "days": Growth("Ten times the days, the same traffic a day", 10, 10 * DAYS, 1.2, 2, 1.2),
    "traffic": Growth("Ten times the traffic a day", 10, DAYS, 4, 4, 1.3),
    "day": Growth("All replies within one day", 1, 1, 2, 2, 1.3, held="summary"),
}


class Grown(NamedTuple):
    """A store and what it was filled from."""

    store: Store
    workload: Workload


def measure_growth(
    cache: Path, growth: Growth, replies: int, patience: Patience, progress: Progress, *, keep: bool
) -> Part:
    """Fill both, record into both in turns, ask both in turns."""
    with ExitStack() as stack:
        filled, copies = {}, []
        for name, size, days in (
            (USUAL, replies, DAYS),
            (GROWN, replies * growth.times, growth.days),
        ):
            workload = Workload(size, days=days)
            folder = Cache(cache / f"growth-{size}-{days}", keep=keep).build(
                "store", store_sources(), partial(_fill, workload, progress)
            )
            copies.append(stack.enter_context(copied(folder)))
            store = stack.enter_context(closing(open_store(copies[-1])))
            filled[name] = Grown(store, workload)
        keep_warm = Warmth(copies).keep
        recorded = _record_in_turns(filled, keep_warm)
        asked = _ask_in_turns(filled, growth, patience, keep_warm)
    return _tell(growth, recorded, asked, replies)


def _fill(workload: Workload, progress: Progress, folder: Path) -> None:
    with closing(open_store(folder)) as store:
        record_replies(store, workload, workload.reply_count, progress)


def _record_in_turns(filled: dict[str, Grown], keep_warm: Callable[[], None]) -> dict[str, Spread]:
    """Batches of the last day that has any, under new ids."""
    seconds: dict[str, list[float]] = {name: [] for name in filled}
    for commit in range(_COMMITS + 1):
        keep_warm()
        for name, (store, workload) in filled.items():
            stop = workload.reply_count
            batch = [
                msgspec.structs.replace(reply, reply_id=f"{commit}-{reply.reply_id}")
                for reply in workload.replies(max(0, stop - _BATCH), stop)
            ]
            start = perf_counter()
            store.record([Recording(ORG, batch)])
            if commit:  # the first one only warms up
                seconds[name].append(perf_counter() - start)
    return {name: spread_of(taken) for name, taken in seconds.items()}


Ask = Callable[[Window], object]


def _ask_in_turns(
    filled: dict[str, Grown], growth: Growth, patience: Patience, keep_warm: Callable[[], None]
) -> list[tuple[str, bool, dict[str, Spread]]]:
    """The name of each question, whether it is about a window, and the times."""
    asked = []
    for name, question in _questions():
        ask = {which: question(grown) for which, grown in filled.items()}
        for told, in_window in (("all time", False), ("a window", True)):
            windows = _windows(growth) if in_window else [Window()]
            spreads = ask_in_turns(ask, windows, patience, same=False, keep_warm=keep_warm)
            asked.append((f"{name}, {told}", in_window, spreads))
    return asked


def _questions() -> Iterator[tuple[str, Callable[[Grown], Ask]]]:
    for heat, share in (("hot", HOT_SHARE), ("mid", MID_SHARE)):

        def summary(grown: Grown, share: float = share) -> Ask:
            resource_type, resource_id, _ = grown.workload.resource_of_share(share)
            return lambda window: grown.store.summary(ORG, resource_type, resource_id, window)

        yield f"summary, {heat}", summary

    def first_page(grown: Grown) -> Ask:
        return lambda window: grown.store.resources(ORG, ResourceType.KNOWLEDGE, window, limit=PAGE)

    def conversations(grown: Grown) -> Ask:
        resource_type, resource_id, _ = grown.workload.resource_of_share(HOT_SHARE)
        return lambda window: grown.store.conversations(
            ORG, resource_type, resource_id, window, kind=UsageKind.APPLIED, limit=PAGE
        )

    yield "list of knowledge items", first_page
    yield "conversations, hot", conversations


def _windows(growth: Growth) -> list[Window]:
    """30 whole days; where all lies within one day, all days."""
    start = datetime.combine(FIRST_DAY, time(), UTC)
    if growth.days == 1:
        return [Window(start, start + timedelta(days=DAYS))]
    return [
        Window(start + timedelta(days=day), start + timedelta(days=day + 30))
        for day in range(0, DAYS - 31, 10)
    ]


def _tell(
    growth: Growth,
    recorded: dict[str, Spread],
    asked: list[tuple[str, bool, dict[str, Spread]]],
    replies: int,
) -> Part:
    rows = [("recording 1,000 replies", recorded)] + [(name, spreads) for name, _, spreads in asked]
    table = Table(
        growth.title,
        ("p50 (least to most), ms", USUAL, GROWN, "times slower"),
        [
            [
                name,
                milliseconds(spreads[USUAL]),
                milliseconds(spreads[GROWN]),
                times(_slower(spreads)),
            ]
            for name, spreads in rows
        ],
        f"The usual is {replies:,} replies over {DAYS} days, grown {growth.times * replies:,} over "
        f"{growth.days:,}. Both hold their data in files of their own and are asked in turns.",
    )
    title = growth.title[0].lower() + growth.title[1:]
    bars = [at_most(f"{title}: recording", growth.recording, _slower(recorded))]
    for told, bound, in_window in (
        ("windows", growth.windows, True),
        ("all time", growth.all_time, False),
    ):
        slowest = max(
            _slower(spreads)
            for name, window, spreads in asked
            if window is in_window and name.startswith(growth.held)
        )
        bars.append(
            at_most(f"{title}: the slowest {growth.held or 'question'}, {told}", bound, slowest)
        )
    return Part([table], bars)


def _slower(spreads: dict[str, Spread]) -> float:
    return spreads[GROWN].median / spreads[USUAL].median
