"""What is asked, of whoever answers: the store and every peer."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from applyrate.store import Store
from applyrate.usage import ResourceType, UsageKind, Window
from bench.generator import DAYS, FIRST_DAY, ORG, Workload
from bench.peers import Peer

OURS = "Applyrate"
PAGE = 50
HOT_SHARE, MID_SHARE, COLD_SHARE = 1.0, 0.01, 0.000443
HOT_RATIO = 10
_WINDOWS = 240
_PAGED_WINDOWS = 12

Engine = Store | Peer


class Asking(NamedTuple):
    """One way to ask a question: the window, and from which position on a list goes on."""

    window: Window
    after: Any = None


class Question(NamedTuple):
    """A question, and the ways to ask it, one after another.

    ``hot``: it is about a resource that is in every reply, of which the store makes most.
    """

    name: str
    ask: Callable[[Engine, Asking], object]
    askings: Sequence[Asking]
    hot: bool = False


def questions(workload: Workload, store: Store) -> Iterator[Question]:
    """All questions, in the order of the table; the store tells where the later pages start."""
    for heat, share in (("hot", HOT_SHARE), ("mid", MID_SHARE), ("cold", COLD_SHARE)):
        yield from _summaries(workload, heat, share)
    yield from _timelines(workload)
    for resource_type in ResourceType:
        yield from _lists(workload, store, resource_type)
    for kind in (UsageKind.APPLIED, UsageKind.AVAILABLE):
        yield from _conversations(workload, store, kind)


def all_time(_: Random) -> Window:
    """The window without bounds."""
    return Window()


def whole_days(random: Random) -> Window:
    """30 whole days."""
    start = _midnight(random.randrange(DAYS - 31))
    return Window(start, start + timedelta(days=30))


def odd_seconds(random: Random) -> Window:
    """About 30 days that start and end inside a day."""
    day = random.randrange(DAYS - 32)
    start, end = (timedelta(seconds=random.uniform(0, 86_400)) for _ in range(2))
    return Window(_midnight(day) + start, _midnight(day + 30) + end)


def one_hour(random: Random) -> Window:
    """One hour of working time, that starts at any second."""
    start = _midnight(random.randrange(DAYS)) + timedelta(seconds=random.randrange(32_400, 64_800))
    return Window(start, start + timedelta(hours=1))


WINDOWS = {
    "all time": all_time,
    "30 whole days": whole_days,
    "30 days, odd seconds": odd_seconds,
    "one hour": one_hour,
}


def windows(draw: Callable[[Random], Window], count: int = _WINDOWS) -> list[Window]:
    """So many windows of a sort, the same for everybody; of all time there is one."""
    random = Random(30)
    return [draw(random) for _ in range(1 if draw is all_time else count)]


def _summaries(workload: Workload, heat: str, share: float) -> Iterator[Question]:
    resource_type, resource_id, replies = workload.resource_of_share(share)

    def ask(engine: Engine, asking: Asking) -> object:
        return engine.summary(ORG, resource_type, resource_id, asking.window)

    for name, draw in WINDOWS.items():
        yield Question(
            f"summary, {heat} ({replies:,} replies), {name}",
            ask,
            [Asking(window) for window in windows(draw)],
            heat == "hot",
        )


def _timelines(workload: Workload) -> Iterator[Question]:
    resource_type, resource_id, _ = workload.resource_of_share(HOT_SHARE)

    def ask(engine: Engine, asking: Asking) -> object:
        start, end = asking.window.from_at, asking.window.to_at
        assert start is not None
        assert end is not None
        bounds = [start + timedelta(days=day) for day in range((end - start).days + 1)]
        return engine.timeline(ORG, resource_type, resource_id, bounds)

    whole = Window(_midnight(0), _midnight(DAYS))
    yield Question(f"timeline by day, hot, {DAYS} days", ask, [Asking(whole)], hot=True)
    yield Question(
        "timeline by day, hot, 30 days", ask, [Asking(w) for w in windows(whole_days)], hot=True
    )


def _lists(workload: Workload, store: Store, resource_type: ResourceType) -> Iterator[Question]:
    (size,) = (c.size for c in workload.catalogues if c.resource_type is resource_type)
    limit = min(PAGE, size // 10)

    def page(engine: Engine, asking: Asking) -> Any:
        return engine.resources(ORG, resource_type, asking.window, limit=limit, after=asking.after)

    for name, draw in (("all time", all_time), ("30 whole days", whole_days)):
        for number, which in ((1, "first"), (10, "tenth")):
            askings = [
                _page_of(store, page, window, number) for window in windows(draw, _PAGED_WINDOWS)
            ]
            yield Question(
                f"list of {size:,} {_plural(resource_type)}, {which} page of {limit}, {name}",
                page,
                askings,
            )


def _conversations(workload: Workload, store: Store, kind: UsageKind) -> Iterator[Question]:
    resource_type, resource_id, _ = workload.resource_of_share(HOT_SHARE)

    def page(engine: Engine, asking: Asking) -> Any:
        return engine.conversations(
            ORG,
            resource_type,
            resource_id,
            asking.window,
            kind=kind,
            limit=PAGE,
            after=asking.after,
        )

    for number, which in ((1, "first"), (100, "hundredth")):
        yield Question(
            f"conversations, hot, {kind}, {which} page",
            page,
            [_page_of(store, page, Window(), number)],
            hot=True,
        )


def _page_of(
    store: Store, page: Callable[[Engine, Asking], Any], window: Window, number: int
) -> Asking:
    """Where that page starts, or else the last one."""
    asking = Asking(window)
    for _ in range(number - 1):
        following = page(store, asking).next
        if following is None:
            break
        asking = Asking(window, following)
    return asking


def _plural(resource_type: ResourceType) -> str:
    return "knowledge items" if resource_type is ResourceType.KNOWLEDGE else f"{resource_type}s"


def _midnight(day: int) -> datetime:
    return datetime.combine(FIRST_DAY, time(), UTC) + timedelta(days=day)
