"""The service under measurement: what it is asked for, and what is recorded into it."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from random import Random
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from applyrate.usage import Reply
from bench.generator import DAYS, FIRST_DAY
from bench.load import request_of
from bench.organizations import Data


class Service(NamedTuple):
    """A service that runs, and whose resources it is asked for."""

    url: str
    key: str
    data: Data

    def summary(self, share: float, window: str = "", prefix: str = "resource-usage") -> bytes:
        """A request for the summary of the resource of that share of the replies."""
        resource_type, resource_id, _ = self.data.workload.resource_of_share(share)
        target = f"/{prefix}/{resource_type}/{resource_id}/usage-summary{window}"
        return request_of("GET", target, self.key)

    def bare(self) -> bytes:
        """A request that the server answers alone."""
        return request_of("GET", "/bare", self.key)

    def recording(self, replies: Sequence[Reply]) -> bytes:
        """A request that records replies."""
        return request_of("POST", "/replies", self.key, msgspec.json.encode(replies))


class Fresh:
    """Replies that nobody has yet: those of the workload, under new ids."""

    def __init__(self, data: Data) -> None:
        self._workload = data.workload
        self._batches = itertools.count()

    def take(self, count: int) -> list[Reply]:
        """So many, of the last days."""
        number = next(self._batches)
        stop = self._workload.reply_count
        return [
            msgspec.structs.replace(reply, reply_id=f"{number}-{reply.reply_id}")
            for reply in self._workload.replies(stop - count, stop)
        ]


@cache
def day_windows() -> list[str]:
    """Queries of 7 to 40 whole days, in a random order."""
    queries = []
    for length in range(7, 41):
        for first in range(DAYS - length):
            start = FIRST_DAY + timedelta(days=first)
            end = start + timedelta(days=length - 1)
            queries.append(f"?{urlencode({'from': start.isoformat(), 'to': end.isoformat()})}")
    Random(16).shuffle(queries)
    return queries
