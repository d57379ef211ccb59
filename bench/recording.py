"""Measuring how fast replies are recorded: durable and deduplicated, engines in turns."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from applyrate.store import Store
from applyrate.usage import Recording, Reply
from bench.building import BATCH
from bench.generator import ORG, Workload
from bench.peers.postgres.recording import Recorder
from bench.questions import OURS, POSTGRES
from bench.timing import Spread, WrongAnswer, spread_of


class Recorded(NamedTuple):
    """Commits of so many replies, and how long each engine's took."""

    replies_a_commit: int
    commits: int
    spreads: dict[str, Spread]

    def rate(self, engine: str) -> float:
        """Replies a second, over all the commits."""
        return self.replies_a_commit * self.commits / self.spreads[engine].total


def measure_recording(
    store: Store, recorder: Recorder | None, workload: Workload, start: int, singles: int
) -> list[Recorded]:
    """Record the replies from ``start`` on in batches of 1000, and the last ones one by one.

    The first tenth of either only warms up.

    Raises WrongAnswer where an engine takes a reply that it has already.
    """
    last = workload.reply_count - singles
    batches = list(workload.batches(start, last, BATCH))
    recorded = [
        _record_in_turns(store, recorder, batches, BATCH),
        _record_in_turns(store, recorder, list(workload.batches(last, workload.reply_count, 1)), 1),
    ]
    (receipt,) = store.record([Recording(ORG, batches[-1])])
    if receipt.duplicates != len(batches[-1]):
        raise WrongAnswer(f"{OURS} took replies twice: {receipt}")
    if recorder and (taken := recorder.record(batches[-1])):
        raise WrongAnswer(f"{POSTGRES} took {taken} usages twice")
    return recorded


def _record_in_turns(
    store: Store, recorder: Recorder | None, batches: Sequence[list[Reply]], size: int
) -> Recorded:
    warm = len(batches) // 10
    durations: dict[str, list[float]] = {
        name: [] for name in (OURS, POSTGRES)[: 2 if recorder else 1]
    }
    for replies in batches:
        start = time.perf_counter()
        store.record([Recording(ORG, replies)])
        durations[OURS].append(time.perf_counter() - start)
        if recorder:
            start = time.perf_counter()
            recorder.record(replies)
            durations[POSTGRES].append(time.perf_counter() - start)
    spreads = {name: spread_of(taken[warm:]) for name, taken in durations.items()}
    return Recorded(size, len(batches) - warm, spreads)
