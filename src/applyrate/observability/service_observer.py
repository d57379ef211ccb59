"""The observer of a service: metrics, and spans where they are wanted."""

from contextlib import AbstractContextManager, nullcontext

from applyrate.observability.metrics import Metrics
from applyrate.observability.observer import Observer
from applyrate.observability.tracing import Tracing
from applyrate.usage import Receipt


class ServiceObserver(Observer):
    """Counts what the writers do."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._tracing = tracing

    def waiting(self, database: str) -> AbstractContextManager[object]:
        """A span, inside that of the request."""
        return self._tracing.within(f"commit {database}") if self._tracing else nullcontext()

    def committed(self, database: str, size: int, seconds: float) -> None:
        """Count it."""
        self._metrics.count_commit(database, size, seconds)

    def failed(self, database: str) -> None:
        """Count it."""
        self._metrics.fail_commit(database)

    def recorded(self, receipt: Receipt) -> None:
        """Count what became of the replies."""
        self._metrics.accepted.inc(receipt.accepted)
        self._metrics.duplicates.inc(receipt.duplicates)
        gone = sum(refusal.is_gone for refusal in receipt.refused)
        for reason, count in (("gone", gone), ("conflict", len(receipt.refused) - gone)):
            if count:
                self._metrics.reject_reply(reason, count)

    def delivered(self, size: int) -> None:
        """Count it."""
        self._metrics.delivered.inc(size)

    def delivery_failed(self) -> None:
        """Count it."""
        self._metrics.deliveries_failed.inc()

    def settled(self, state: str) -> None:
        """Count it."""
        self._metrics.settle_trace(state)
