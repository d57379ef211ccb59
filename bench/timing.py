"""Timing several engines in turns: A B A B, so that whatever the machine does meets them all."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from applyrate.usage import Window


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


def ask_in_turns(
    ask: Mapping[str, Callable[[Window], object]], windows: Iterator[Window], patience: Patience
) -> dict[str, Spread]:
    """Ask each engine the same in each round, after one round that only warms up.

    Raises WrongAnswer where an answer, in any round, differs from the first engine's.
    """
    durations: dict[str, list[float]] = {name: [] for name in ask}
    compare(ask, next(windows))
    until, rounds = time.perf_counter() + patience.seconds, 0
    while rounds < patience.least_rounds or (
        rounds < patience.most_rounds and time.perf_counter() < until
    ):
        for name, duration in compare(ask, next(windows)).items():
            durations[name].append(duration)
        rounds += 1
    return {name: spread_of(taken) for name, taken in durations.items()}


def compare(ask: Mapping[str, Callable[[Window], object]], window: Window) -> dict[str, float]:
    """Ask each engine once; how long each took."""
    durations, answers = {}, {}
    for name, question in ask.items():
        start = time.perf_counter()
        answers[name] = question(window)
        durations[name] = time.perf_counter() - start
    (first, expected), *others = answers.items()
    for name, answer in others:
        if answer != expected:
            raise WrongAnswer(f"{window}:\n{first}: {expected}\n{name}: {answer}")
    return durations
