"""What is asked, of whom, and what the prototype's figures demand of the answer's time."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import NamedTuple

from applyrate.store import Store
from applyrate.usage import ResourceType, Window
from bench.generator import DAYS, FIRST_DAY, ORG, Workload
from bench.peers.postgres.asking import PlainPostgreSQL, PostgreSQL
from bench.prototype import Prototype

OURS = "Applyrate"
POSTGRES = "PostgreSQL"
PLAIN = "PostgreSQL, plain"
PROTOTYPE = "prototype"

PAGE = 50
HOT_SHARE, MID_SHARE, COLD_SHARE = 1.0, 0.01, 0.000443

Ask = Callable[[Window], object]


class Question(NamedTuple):
    """A question with the engines that answer it.

    ``postgres_ratio``: how many times faster than PostgreSQL the prototype was, so must we be.
    ``prototype_ratio``: how many times faster than the prototype's way we must be.
    """

    name: str
    ask: dict[str, Ask]
    windows: Callable[[], Iterator[Window]]
    postgres_ratio: float | None = None
    prototype_ratio: float | None = None


class Engines(NamedTuple):
    """Whom to ask, all holding the same data."""

    store: Store
    prototype: Prototype
    postgres: PostgreSQL | None
    plain: PlainPostgreSQL | None


def all_time() -> Iterator[Window]:
    """The window without bounds, again and again."""
    while True:
        yield Window()


def whole_days() -> Iterator[Window]:
    """Windows of 30 whole days, another one each time."""
    random = Random(30)
    while True:
        start = _midnight(random.randrange(DAYS - 31))
        yield Window(start, start + timedelta(days=30))


def odd_seconds() -> Iterator[Window]:
    """Windows of about 30 days that start and end inside a day, another one each time."""
    random = Random(31)
    while True:
        day = random.randrange(DAYS - 32)
        start, end = (timedelta(seconds=random.uniform(0, 86_400)) for _ in range(2))
        yield Window(_midnight(day) + start, _midnight(day + 30) + end)


def questions(workload: Workload, engines: Engines) -> list[Question]:
    """All questions, in the order of the table."""
    return [
        *_summaries("hot", workload.resource_of_share(HOT_SHARE), engines, (247, None, 11), 1),
        *_summaries("mid", workload.resource_of_share(MID_SHARE), engines, (4.2, None, None), 5),
        *_summaries("cold", workload.resource_of_share(COLD_SHARE), engines, (0.34, None, None), 5),
        *_lists(engines),
        _conversations(workload, engines),
    ]


def _summaries(
    heat: str,
    resource: tuple[ResourceType, str, int],
    engines: Engines,
    postgres_ratios: tuple[float | None, float | None, float | None],
    odd_seconds_ratio: float,
) -> list[Question]:
    resource_type, resource_id, replies = resource

    def ask(engine: Store | PostgreSQL | Prototype) -> Ask:
        return lambda window: engine.summary(ORG, resource_type, resource_id, window)

    name = f"summary, {heat} ({replies:,} replies)"
    both = {OURS: ask(engines.store)} | (
        {POSTGRES: ask(engines.postgres)} if engines.postgres else {}
    )
    with_prototype = both | {PROTOTYPE: ask(engines.prototype)}
    of_all_time, of_days, of_seconds = postgres_ratios
    return [
        Question(f"{name}, all time", both, all_time, of_all_time),
        Question(f"{name}, 30 whole days", both, whole_days, of_days),
        Question(
            f"{name}, 30 days, odd seconds",
            with_prototype,
            odd_seconds,
            of_seconds,
            odd_seconds_ratio,
        ),
    ]


def _lists(engines: Engines) -> list[Question]:
    def asks(resource_type: ResourceType) -> dict[str, Ask]:
        def ask(engine: Store | PostgreSQL | Prototype) -> Ask:
            return lambda window: engine.resources(ORG, resource_type, window, limit=PAGE)

        return {
            name: ask(engine)
            for name, engine in (
                (OURS, engines.store),
                (POSTGRES, engines.postgres),
                (PLAIN, engines.plain),
                (PROTOTYPE, engines.prototype),
            )
            if engine is not None
        }

    instructions, knowledge = asks(ResourceType.INSTRUCTION), asks(ResourceType.KNOWLEDGE)
    in_days = {name: ask for name, ask in knowledge.items() if name != PROTOTYPE}
    return [
        Question("list, 300 instructions, all time", instructions, all_time, 133, 5),
        Question("list, 2,000 knowledge items, all time", knowledge, all_time, None, 5),
        Question("list, 2,000 knowledge items, 30 whole days", in_days, whole_days, 8.7),
    ]


def _conversations(workload: Workload, engines: Engines) -> Question:
    resource_type, resource_id, _ = workload.resource_of_share(HOT_SHARE)

    def ask(engine: Store | PostgreSQL) -> Ask:
        return lambda window: engine.conversations(
            ORG, resource_type, resource_id, window, limit=PAGE
        )

    asks: dict[str, Ask] = {OURS: ask(engines.store)}
    if engines.postgres and engines.plain:
        asks |= {POSTGRES: ask(engines.postgres), PLAIN: ask(engines.plain)}
    return Question("conversations, hot, first page, all time", asks, all_time, 177)


def _midnight(day: int) -> datetime:
    return datetime.combine(FIRST_DAY, time(), UTC) + timedelta(days=day)
