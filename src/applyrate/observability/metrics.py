"""The metrics that are counted as things happen, in the form that Prometheus reads.

No label holds a key, an organization or an id: every one has few values, known beforehand. The
registry is the service's own, so that two services in one process count apart.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from applyrate.observability.request_counts import DURATION_SECONDS, RequestCounts

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)

DATABASES: Final = ("store", "inbox")
REJECTIONS: Final = ("invalid", "overlong", "conflict", "gone")
SETTLED: Final = ("derived", "excluded", "failed", "irrelevant", "unattributed", "waiting")
LIMITS: Final = (
    *("standard_limit", "streaming_limit", "max_streams", "max_key_streams"),
    *("max_body_bytes", "max_line_bytes", "inbox_max_spans", "inbox_max_replies", "sign_ins"),
)
"""What has a limit: the setting's name, and the failed attempts to sign in."""


class Metrics:
    """The counters, and what ``GET /metrics`` shows. May be used from any thread."""

    def __init__(self) -> None:
        # When a counter was made is no metric of interest, and doubles their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has types for the most part
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("applyrate_build", "The version that runs.", registry=self.registry).info(
            {"version": version("applyrate")}
        )

        count, observe = self._counter, self._histogram
        self.requests = RequestCounts()
        self.registry.register(self.requests)
        self.under_way = Gauge(
            "applyrate_http_requests_under_way",
            "Requests that are being answered, open streams included.",
            registry=self.registry,
        )
        self._limits = count("limits_hit", "Requests and lines that a limit refused.", "limit")

        self.limits_not_shared = count(
            "limits_not_shared", "Requests that were counted here alone, while Redis was away."
        )

        self.accepted = count("replies_accepted", "Replies that brought something new.")
        self.duplicates = count("replies_duplicate", "Replies that were known to the last usage.")
        self._rejected = count("replies_rejected", "Replies that were not taken.", "reason")
        self.spans_accepted = count("spans_accepted", "Spans that were taken, known ones too.")
        self.spans_refused = count("spans_refused", "Spans that were refused for good.")
        self._settled = count(
            "traces_settled", "Traces that were looked at, once for each time.", "state"
        )
        self.delivered = count(
            "replies_delivered", "Replies of the inbox that a store on other machines has now."
        )
        self.deliveries_failed = count(
            "deliveries_failed", "Blocks that could not be brought to that store, and are retried."
        )

        self._commit_seconds = observe(
            "commit_duration_seconds",
            "How long a shared commit took, until it was on disk.",
            DURATION_SECONDS,
            "database",
        )
        self._commit_sizes = observe(
            "commit_size",
            "Replies in a commit of the store, spans in one of the inbox.",
            _SIZES,
            "database",
        )
        self._failed_commits = count("commits_failed", "Commits that failed.", "database")
        self._begin_at_zero()

    def hit_limit(self, limit: str) -> None:
        """Count what a limit refused; it is named as its setting."""
        self._limits.labels(limit).inc()

    def reject_reply(self, reason: str, count: int = 1) -> None:
        """Count replies that were not taken, by one of the REJECTIONS."""
        self._rejected.labels(reason).inc(count)

    def settle_trace(self, state: str) -> None:
        """Count a trace that was looked at, by what became of it."""
        self._settled.labels(state).inc()

    def count_commit(self, database: str, size: int, seconds: float) -> None:
        """Count a shared commit: how many replies or spans, and how long it took."""
        self._commit_sizes.labels(database).observe(size)
        self._commit_seconds.labels(database).observe(seconds)

    def fail_commit(self, database: str) -> None:
        """Count a commit that failed."""
        self._failed_commits.labels(database).inc()

    def expose(self, accept: str) -> tuple[bytes, str]:
        """All metrics as text, and its media type: OpenMetrics where ``accept`` asks for it."""
        encode: Callable[[CollectorRegistry], bytes]
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def _begin_at_zero(self) -> None:
        """Show what has not happened yet as zero, so that its first time is seen as growth."""
        for database in DATABASES:
            self._failed_commits.labels(database)
            self._commit_seconds.labels(database)
            self._commit_sizes.labels(database)
        for reason in REJECTIONS:
            self._rejected.labels(reason)
        for limit in LIMITS:
            self._limits.labels(limit)
        for state in SETTLED:
            self._settled.labels(state)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"applyrate_{name}", meaning, labels, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, bounds: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"applyrate_{name}", meaning, labels, buckets=bounds, registry=self.registry
        )
