"""What the prototype was asked, and how many times faster than others the store must answer it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from applyrate.store import Store
from applyrate.usage import ResourceType, Window
from bench.generator import ORG, Workload
from bench.peers.postgres.covering import Covering
from bench.peers.postgres.plain import Plain
from bench.prototype.answering import Prototype
from bench.questions import (
    COLD_SHARE,
    HOT_SHARE,
    MID_SHARE,
    OURS,
    PAGE,
    WINDOWS,
    windows,
)

POSTGRES = "PostgreSQL"
PLAIN = "PostgreSQL, plain"
PROTOTYPE = "prototype"

Ask = Callable[[Window], object]


class Demand(NamedTuple):
    """A question with the engines that answer it.

    ``postgres_ratio``: how many times faster than PostgreSQL the prototype was, so must we be.
    ``prototype_ratio``: how many times faster than the prototype's way we must be.
    """

    name: str
    ask: Mapping[str, Ask]
    windows: Sequence[Window]
    postgres_ratio: float | None = None
    prototype_ratio: float | None = None


class Engines(NamedTuple):
    """Whom to ask, all holding the same data."""

    store: Store
    prototype: Prototype
    postgres: Covering | None = None
    plain: Plain | None = None


def demands(workload: Workload, engines: Engines) -> Iterator[Demand]:
    """All of them, in the order of the table."""
    hot, mid, cold = map(workload.resource_of_share, (HOT_SHARE, MID_SHARE, COLD_SHARE))
    yield from _summaries("hot", hot, engines, (247, None, 11), 1)
    yield from _summaries("mid", mid, engines, (4.2, None, None), 5)
    yield from _summaries("cold", cold, engines, (0.34, None, None), 5)
    yield from _lists(engines)
    yield _conversations(hot, engines)


def _summaries(
    heat: str,
    resource: tuple[ResourceType, str, int],
    engines: Engines,
    postgres_ratios: tuple[float | None, float | None, float | None],
    odd_seconds_ratio: float,
) -> Iterator[Demand]:
    resource_type, resource_id, replies = resource

    def ask(engine: Store | Covering | Prototype) -> Ask:
        return lambda window: engine.summary(ORG, resource_type, resource_id, window)

    asks = {OURS: ask(engines.store)}
    if engines.postgres:
        asks[POSTGRES] = ask(engines.postgres)
    name = f"summary, {heat} ({replies:,} replies)"
    of_all_time, of_days, of_seconds = postgres_ratios
    yield _demand(f"{name}, all time", asks, of_all_time)
    yield _demand(f"{name}, 30 whole days", asks, of_days)
    asks = asks | {PROTOTYPE: ask(engines.prototype)}
    yield _demand(f"{name}, 30 days, odd seconds", asks, of_seconds, odd_seconds_ratio)


def _lists(engines: Engines) -> Iterator[Demand]:
    def asks(resource_type: ResourceType) -> dict[str, Ask]:
        def ask(engine: Store | Covering | Prototype) -> Ask:
            return lambda window: engine.resources(ORG, resource_type, window, limit=PAGE)

        found = {OURS: ask(engines.store), PROTOTYPE: ask(engines.prototype)}
        if engines.postgres and engines.plain:
            found |= {POSTGRES: ask(engines.postgres), PLAIN: ask(engines.plain)}
        return found

    instructions, knowledge = asks(ResourceType.INSTRUCTION), asks(ResourceType.KNOWLEDGE)
    yield _demand("list, 300 instructions, all time", instructions, 133, 5)
    yield _demand("list, 2,000 knowledge items, all time", knowledge, None, 5)
    in_days = {name: ask for name, ask in knowledge.items() if name != PROTOTYPE}
    yield _demand("list, 2,000 knowledge items, 30 whole days", in_days, 8.7)


def _conversations(resource: tuple[ResourceType, str, int], engines: Engines) -> Demand:
    resource_type, resource_id, _ = resource

    def ask(engine: Store | Covering) -> Ask:
        return lambda window: engine.conversations(
            ORG, resource_type, resource_id, window, limit=PAGE
        )

    asks = {OURS: ask(engines.store)}
    if engines.postgres and engines.plain:
        asks |= {POSTGRES: ask(engines.postgres), PLAIN: ask(engines.plain)}
    return _demand("conversations, hot, first page, all time", asks, 177)


def _demand(
    name: str,
    ask: Mapping[str, Ask],
    postgres_ratio: float | None = None,
    prototype_ratio: float | None = None,
) -> Demand:
    """The windows are those that its name ends with."""
    (draw,) = (draw for ending, draw in WINDOWS.items() if name.endswith(ending))
    return Demand(name, ask, windows(draw), postgres_ratio, prototype_ratio)
