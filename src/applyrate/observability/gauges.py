"""The metrics that are read as they are at the moment when somebody asks."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from applyrate.errors import Unavailable
from applyrate.intake.inbox import Inbox
from applyrate.store import Store


class Gauges(Collector):
    """The state of the data and of the service. What cannot be read now is left out."""

    def __init__(
        self,
        data: Path,
        store: Store,
        inbox: Inbox,
        *,
        max_undelivered: int,
        open_streams: Callable[[], int],
        ready_parts: Callable[[], Mapping[str, bool]],
    ) -> None:
        self._data = data
        self._store = store
        self._inbox = inbox
        self._max_undelivered = max_undelivered
        self._open_streams = open_streams
        self._ready_parts = ready_parts

    def collect(self) -> Iterator[Metric]:
        """All of them, from any thread."""
        # A store on other machines is not asked, so that it keeps nothing else from being told.
        of_store = () if self._store.is_remote else (self._read_usages,)
        for read in (
            self._read_service,
            self._read_disk,
            self._read_sizes,
            *of_store,
            self._read_inbox,
            self._read_undelivered,
        ):
            try:
                yield from read()
            except (OSError, sqlite3.Error, Unavailable):
                continue  # that the data cannot be read is told by its part not being ready

    def _read_service(self) -> Iterator[Metric]:
        yield _gauge("open_streams", "Streams that are open.", self._open_streams())
        ready = _labelled("ready", "1 where a part of the service is not failing, else 0.", "part")
        for part, is_ready in self._ready_parts().items():
            ready.add_metric([part], is_ready)
        yield ready

    def _read_disk(self) -> Iterator[Metric]:
        disk = shutil.disk_usage(self._data)
        yield _gauge("disk_free_bytes", "Free bytes on the data folder's disk.", disk.free)
        yield _gauge("disk_size_bytes", "All bytes of the data folder's disk.", disk.total)

    def _read_sizes(self) -> Iterator[Metric]:
        sizes = _labelled("database_bytes", "Bytes of a database's file.", "database", "file")
        databases = [("inbox", self._inbox.file_sizes())]
        if not self._store.is_remote:
            databases.append(("store", self._store.file_sizes()))
        for database, files in databases:
            for file, size in files.items():
                sizes.add_metric([database, file], size)
        yield sizes

    def _read_usages(self) -> Iterator[Metric]:
        yield _gauge("usages", "Usages in the store.", self._store.usage_count())

    def _read_inbox(self) -> Iterator[Metric]:
        load = self._inbox.load()
        yield _gauge("inbox_spans", "Spans that the inbox holds.", load.span_count)
        yield _gauge(
            "inbox_waiting_traces",
            "Traces whose replies are still to be derived.",
            load.waiting_trace_count,
        )
        yield _gauge(
            "inbox_oldest_seconds",
            "How long the longest unchanged one of them has been so.",
            load.oldest_seconds,
        )

    def _read_undelivered(self) -> Iterator[Metric]:
        backlog = self._inbox.undelivered.backlog()
        yield _gauge(
            "undelivered_replies",
            "Replies that wait in the inbox for a store on other machines.",
            backlog.reply_count,
        )
        yield _gauge(
            "undelivered_replies_max",
            "How many of them the inbox holds at most.",
            self._max_undelivered,
        )
        yield _gauge(
            "undelivered_oldest_seconds",
            "How long the oldest of them has waited.",
            backlog.oldest_seconds,
        )
        yield _gauge(
            "set_aside_replies",
            "Replies that the store refused for good, and that wait for a person.",
            backlog.set_aside_count,
        )


_PREFIX: Final = "applyrate_"


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, meaning, value=value)


def _labelled(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)
