"""What is measured on: one big organization, and twenty small ones that must not be in its way."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from applyrate.usage import Reply
from bench.generator import CATALOGUES, Workload

SMALL_COUNT = 20
LAST_STRETCH = 50_000
_SMALLER = 10


class Data(NamedTuple):
    """The big organization's replies, of which those before ``stop`` are built in, and the rest."""

    workload: Workload
    small: Sequence[Workload]
    stop: int

    def small_batches(self, size: int) -> Iterator[tuple[str, list[Reply]]]:
        """The small organizations' replies in batches, their arrivals interleaved."""
        batches = [(small.org, small.batches(0, small.reply_count, size)) for small in self.small]
        while batches:
            left = []
            for org, replies in batches:
                if batch := next(replies, None):
                    yield org, batch
                    left.append((org, replies))
            batches = left

    def handed_off(self) -> Iterator[tuple[str, dict[str, datetime]]]:
        """By organization, when conversations with a built-in reply were handed off."""
        yield self.workload.org, self.workload.handed_off_before(self.stop)
        for small in self.small:
            yield small.org, small.handed_off_before(small.reply_count)

    def usage_count(self) -> int:
        """How many distinct usages all of it has."""
        return sum(workload.usage_count() for workload in (self.workload, *self.small))

    @property
    def reply_count(self) -> int:
        """How many replies all of it has."""
        return sum(workload.reply_count for workload in (self.workload, *self.small))


def draw_data(replies: int) -> Data:
    """So many replies of the big organization; each small one has a thousandth as many."""
    catalogues = [
        catalogue._replace(
            size=catalogue.size // 5,
            contexts=catalogue.contexts // 64,
            smallest=catalogue.smallest // 2,
            largest=catalogue.largest // 2,
        )
        for catalogue in CATALOGUES
    ]
    small = [
        Workload(
            max(replies // 1000, _SMALLER),
            seed=1 + number,
            org=f"small-{number:02}",
            catalogues=catalogues,
        )
        for number in range(1, SMALL_COUNT + 1)
    ]
    return Data(Workload(replies), small, replies - min(LAST_STRETCH, replies // 4))
