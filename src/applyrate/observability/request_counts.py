"""The requests of the service, counted and timed: what every one of them pays for.

Counting here is a look-up and three additions. The sums that Prometheus wants of it, buckets that
hold all shorter ones too, are made when somebody asks.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from msgspec import Struct, field
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

DURATION_SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class RequestCounts(Collector):
    """Requests by method, route and status. They are counted in one event loop alone."""

    def __init__(self) -> None:
        self._answered: dict[tuple[str, str, int], _Answered] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that is answered; ``seconds`` until its answer began."""
        answered = self._answered.get((method, route, status))
        if answered is None:
            answered = self._answered[method, route, status] = _Answered()
        answered.counts[bisect_left(DURATION_SECONDS, seconds)] += 1
        answered.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Both metrics, from any thread."""
        requests = CounterMetricFamily(
            "applyrate_http_requests", "Requests answered.", labels=("method", "route", "status")
        )
        durations = HistogramMetricFamily(
            "applyrate_http_request_duration_seconds",
            "From a request's head to the head of its answer.",
            labels=("method", "route"),
        )
        by_route: defaultdict[tuple[str, str], list[_Answered]] = defaultdict(list)
        for (method, route, status), answered in list(self._answered.items()):
            requests.add_metric((method, route, str(status)), sum(answered.counts))
            by_route[method, route].append(answered)
        for which, of_statuses in by_route.items():
            counts = map(sum, zip(*(one.counts for one in of_statuses), strict=True))
            buckets = list(zip(_BOUNDS, accumulate(counts), strict=True))
            durations.add_metric(which, buckets, sum(one.seconds for one in of_statuses))
        yield requests
        yield durations


class _Answered(Struct):
    """How many took longer than one bound and up to the next, and the seconds of all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DURATION_SECONDS) + 1))
    seconds: float = 0


_BOUNDS: Final = [*map(floatToGoString, DURATION_SECONDS), "+Inf"]
