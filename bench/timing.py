"""Timing several engines in turns: A B A B, so that whatever the machine does meets them all."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from statistics import median
from typing import NamedTuple, TypeVar

Asking = TypeVar("Asking")


class WrongAnswer(Exception):
    """Two engines disagree: a benchmark of wrong answers is worthless."""


class Spread(NamedTuple):
    """Durations in seconds: the median, the shortest and the longest, and their sum."""

    median: float
    least: float
    most: float
    total: float


class Patience(NamedTuple):
    """How often a question is asked: until ``seconds`` have passed, within bounds of rounds."""

    seconds: float
    least_rounds: int
    most_rounds: int


def spread_of(durations: Sequence[float]) -> Spread:
    """The spread of some durations."""
    return Spread(median(durations), min(durations), max(durations), sum(durations))


def percentile(durations: Sequence[float], share: float) -> float:
    """The duration within which that share of them lies."""
    return sorted(durations)[int(share * (len(durations) - 1))]


def ask_in_turns(
    ask: Mapping[str, Callable[[Asking], object]],
    askings: Sequence[Asking],
    patience: Patience,
    *,
    same: bool = True,
    keep_warm: Callable[[], None] = lambda: None,
) -> dict[str, Spread]:
    """Ask each engine the same in each round, after one round that only warms up.

    ``keep_warm`` is called before each round, and is not measured.

    Raises WrongAnswer where an answer, in any round, differs from the first engine's, unless the
    engines do not hold the ``same``.
    """
    durations: dict[str, list[float]] = {name: [] for name in ask}
    following: Iterator[Asking] = cycle(askings)
    keep_warm()
    _ask_once(ask, next(following), same=same)
    until, rounds = time.perf_counter() + patience.seconds, 0
    while rounds < patience.least_rounds or (
        rounds < patience.most_rounds and time.perf_counter() < until
    ):
        keep_warm()
        for name, duration in _ask_once(ask, next(following), same=same).items():
            durations[name].append(duration)
        rounds += 1
    return {name: spread_of(taken) for name, taken in durations.items()}


def _ask_once(
    ask: Mapping[str, Callable[[Asking], object]], asking: Asking, *, same: bool
) -> dict[str, float]:
    durations, answers = {}, {}
    for name, question in ask.items():
        start = time.perf_counter()
        answers[name] = question(asking)
        durations[name] = time.perf_counter() - start
    (first, expected), *others = answers.items()
    for name, answer in others:
        if same and answer != expected:
            raise WrongAnswer(f"{asking}:\n{first}: {expected}\n{name}: {answer}")
    return durations
