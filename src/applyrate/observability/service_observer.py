"""The observer of a service: metrics, spans, and a log line where a database begins to fail."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from msgspec import Struct

from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.observability.metrics import Metrics
from applyrate.observability.observer import Observer
from applyrate.observability.tracing import Tracing
from applyrate.usage import Receipt


class ServiceObserver(Observer):
    """Tells of failing commits once when they begin to fail and once when they work again."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._outages: dict[str, _Outage] = {}

    def waiting(self, database: str) -> AbstractContextManager[object]:
        """A span, inside that of the request."""
        return self._tracing.within(f"commit {database}") if self._tracing else nullcontext()

    def committed(self, database: str, size: int, seconds: float) -> None:
        """Count it."""
        self._metrics.count_commit(database, size, seconds)

    def wrote(self, database: str) -> None:
        """Say so where it did not work before."""
        if outage := self._outages.pop(database, None):
            seconds = round(time.monotonic() - outage.began_at, 3)
            tell(
                Event.COMMITS_RECOVERED,
                database=database,
                failed_count=outage.failed_count,
                outage_seconds=seconds,
            )

    def failed(self, database: str, error: Exception, request_ids: Sequence[str]) -> None:
        """Count it, and say so where it worked before."""
        self._metrics.fail_commit(database)
        outage = self._outages.get(database)
        if outage is None:
            outage = self._outages[database] = _Outage(time.monotonic())
            tell(
                Event.COMMITS_FAILING,
                database=database,
                error=str(error),
                request_ids=list(request_ids),
            )
        outage.failed_count += 1

    def recorded(self, receipt: Receipt) -> None:
        """Count what became of the replies."""
        self._metrics.accepted.inc(receipt.accepted)
        self._metrics.duplicates.inc(receipt.duplicates)
        if receipt.refused:
            self._metrics.reject_reply("conflict", len(receipt.refused))

    def settled(self, state: str) -> None:
        """Count it."""
        self._metrics.settle_trace(state)


class _Outage(Struct):
    """Since when a database fails, by the monotonic clock, and how often it did."""

    began_at: float
    failed_count: int = 0
