"""Measuring how fast replies are recorded: durable and deduplicated, engines in turns."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

from applyrate.intake.group_commit import GroupCommit
from applyrate.store import Store
from applyrate.usage import Recording, Reply
from bench.organizations import Data
from bench.peers import Peer
from bench.questions import OURS
from bench.sharing import SharedRecording
from bench.tables import Bar, Part, Table, at_least, significant, times
from bench.timing import Spread, spread_of

WRITERS = 16

Batches = Sequence[list[Reply]]
Write = Callable[[Batches, int], list[float]]
"""Records batches with so many writers; how many seconds each waited for its acknowledgement."""


class Stretch(NamedTuple):
    """So many commits of so many replies from so many writers."""

    replies: int
    writers: int
    commits: int


STRETCHES = (
    Stretch(1000, 1, 12),
    Stretch(1000, WRITERS, 16),
    Stretch(100, 1, 40),
    Stretch(100, WRITERS, 64),
    Stretch(10, 1, 80),
    Stretch(10, WRITERS, 160),
    Stretch(1, 1, 120),
    Stretch(1, WRITERS, 320),
)
QUICK_STRETCHES = (
    Stretch(1000, 1, 1),
    Stretch(1000, WRITERS, 1),
    Stretch(100, 1, 2),
    Stretch(100, WRITERS, 8),
    Stretch(10, 1, 8),
    Stretch(10, WRITERS, 16),
    Stretch(1, 1, 16),
    Stretch(1, WRITERS, 32),
)
WARM = 200
"""So many replies are recorded first, and not measured."""


class Recorded(NamedTuple):
    """What a stretch took: all of its seconds, and the spread of the acknowledgements."""

    stretch: Stretch
    seconds: dict[str, float]
    acknowledged: dict[str, Spread]

    def rate(self, engine: str) -> float:
        """Replies a second."""
        return self.stretch.replies * self.stretch.commits / self.seconds[engine]


def measure_recording(
    store: Store,
    peers: Mapping[str, Peer],
    data: Data,
    stretches: Sequence[Stretch],
    keep_warm: Callable[[], None],
) -> list[Recorded]:
    """Record what is not built in, in stretches, and the rest without measuring.

    ``keep_warm`` is called between the turns.
    """
    org = data.workload.org
    writes = {OURS: partial(_write_ours, store, org)}
    writes |= {name: partial(_write_peer, peer, org) for name, peer in peers.items()}
    place = data.stop + WARM
    for write in writes.values():
        write([data.workload.replies(data.stop, place)], 1)
    recorded = []
    for stretch in stretches:
        end = place + stretch.replies * stretch.commits
        assert end <= data.workload.reply_count, "there are too few replies to record"
        batches = data.workload.batches(place, end, stretch.replies)
        recorded.append(_in_turns(writes, stretch, batches, keep_warm))
        place = end
    rest = list(data.workload.batches(place, data.workload.reply_count, 1000))
    for write in writes.values():
        write(rest, 1)
        # Sent again, they change nothing: the questions that follow are answered the same by all.
        write(rest[-1:] or [data.workload.replies(place - 1, place)], 1)
    return recorded


def _in_turns(
    writes: Mapping[str, Write],
    stretch: Stretch,
    batches: Iterator[list[Reply]],
    keep_warm: Callable[[], None],
) -> Recorded:
    """Turn by turn each engine records the same: a commit, or one of each writer."""
    seconds = dict.fromkeys(writes, 0.0)
    acknowledged: dict[str, list[float]] = {name: [] for name in writes}
    while turn := list(islice(batches, 4 * stretch.writers if stretch.writers > 1 else 1)):
        keep_warm()
        for name, write in writes.items():
            start = time.perf_counter()
            acknowledged[name] += write(turn, stretch.writers)
            seconds[name] += time.perf_counter() - start
    return Recorded(
        stretch, seconds, {name: spread_of(taken) for name, taken in acknowledged.items()}
    )


def _write_ours(store: Store, org: str, batches: Batches, writers: int) -> list[float]:
    """Several writers share commits as the service's requests do; one needs no help."""
    if writers == 1:
        return [_seconds(partial(store.record, [Recording(org, batch)])) for batch in batches]

    async def write_all() -> list[float]:
        group, waiting = GroupCommit(store), iter(batches)

        async def write() -> list[float]:
            taken = []
            for batch in waiting:
                start = time.perf_counter()
                await group.join(org, batch)
                taken.append(time.perf_counter() - start)
            return taken

        try:
            written = await asyncio.gather(*(write() for _ in range(writers)))
        finally:
            await group.close()
        return [seconds for taken in written for seconds in taken]

    return asyncio.run(write_all())


def _write_peer(peer: Peer, org: str, batches: Batches, writers: int) -> list[float]:
    record = partial(peer.record, org)
    if writers == 1:
        return [_seconds(partial(record, batch)) for batch in batches]
    shared = SharedRecording(record)
    with ThreadPoolExecutor(writers) as threads:
        return list(threads.map(lambda batch: _seconds(partial(shared, batch)), batches))


def _seconds(write: Callable[[], object]) -> float:
    start = time.perf_counter()
    write()
    return time.perf_counter() - start


def tell_recording(recorded: Sequence[Recorded]) -> Part:
    """The table, and what is asked of batches of 1000."""
    names = list(recorded[0].seconds)
    rows = []
    for stretch in recorded:
        rates = {name: stretch.rate(name) for name in names}
        best = max((rate for name, rate in rates.items() if name != OURS), default=None)
        cells = (
            f"{rates[name]:,.0f} ({significant(1000 * stretch.acknowledged[name].median)} ms)"
            for name in names
        )
        size, writers, _ = stretch.stretch
        told = f"{_count(size, 'reply', 'replies')} a request"
        told += f", {_count(writers, 'writer', 'writers')}"
        rows.append([told, *cells, times(best and rates[OURS] / best)])
    table = Table(
        "Recording",
        ("replies a second (p50 of a request)", *names, "to the best peer"),
        rows,
        "Durable and deduplicated. Sixteen writers share commits, with every engine: the store by "
        "its own group commit, a peer by the same in threads.",
    )
    return Part([table], list(_bars(recorded[0])))


def _bars(thousands: Recorded) -> Iterator[Bar]:
    ours = thousands.rate(OURS)
    others = {name: thousands.rate(name) for name in thousands.seconds if name != OURS}
    postgres = others.get("PostgreSQL")
    yield at_least(
        "recording at the store, batches of 1000, to PostgreSQL", 3, postgres and ours / postgres
    )
    yield at_least("the same to the best peer", 1, ours / max(others.values()) if others else None)


def _count(number: int, one: str, many: str) -> str:
    return f"one {one}" if number == 1 else f"{number:,} {many}"
