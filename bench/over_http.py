"""Measuring the service over HTTP, beside a handler that does nothing on the same server."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import psutil

from applyrate.store import Store
from applyrate.usage import Recording
from bench.footprint import child_that_listens
from bench.generator import ORG
from bench.load import Answered, send
from bench.organizations import Data
from bench.questions import HOT_SHARE, MID_SHARE, OURS
from bench.service import Fresh, Service, day_windows
from bench.serving import serving
from bench.tables import Part, Table, at_least, at_most, times
from bench.timing import WrongAnswer, spread_of

CLIENTS = 16
_CONNECTIONS, _DEPTH = 4, 16
_BATCH = 1000


class Effort(NamedTuple):
    """How long and how often the service is asked, and how much is recorded into it."""

    rounds: int
    seconds: float
    batches: int
    singles: int


EFFORT = Effort(rounds=7, seconds=2, batches=16, singles=640)
QUICK_EFFORT = Effort(rounds=3, seconds=0.5, batches=2, singles=64)


class Rates(NamedTuple):
    """Requests a second of ways to ask, one value for each round, in turns.

    ``cpu``: what the service's process took for each request, in seconds of a core.
    """

    of: dict[str, list[float]]
    cpu: Mapping[str, list[float]] | None = None

    def median(self, name: str) -> float:
        """The middle one."""
        return spread_of(self.of[name]).median

    def told(self, name: str) -> str:
        """The median, with the least and the most."""
        median, least, most, _ = spread_of(self.of[name])
        return f"{median:,.0f} ({least:,.0f} to {most:,.0f})"


def measure_http(folder: Path, store: Store, data: Data, effort: Effort) -> Part:
    """Serve a folder, and compare with a store on a folder of its own; both are recorded into."""
    with serving(folder, ORG, module="bench.served") as (url, key):
        service = Service(url, key, data)
        fresh = Fresh(data)
        parts = [
            _summaries(service, effort),
            _again(service, effort, fresh),
            _recording(service, store, effort, fresh),
            _singles(service, effort, fresh),
            _latency(service, effort, fresh),
        ]
    return Part(
        [table for part in parts for table in part.tables],
        [bar for part in parts for bar in part.bars],
    )


def _summaries(service: Service, effort: Effort) -> Part:
    windows = itertools.cycle(day_windows())
    asked = {
        "the server alone": lambda: itertools.repeat(service.bare()),
        "empty handler": lambda: itertools.repeat(service.summary(HOT_SHARE, prefix="bench")),
        "hot": lambda: (service.summary(HOT_SHARE, window) for window in windows),
        "mid": lambda: (service.summary(MID_SHARE, window) for window in windows),
    }
    rates = _in_turns(service, asked, effort)
    empty = rates.median("empty handler")
    return Part(
        [
            _rates_table(
                "Summaries over HTTP",
                rates,
                "empty handler",
                "Requests a second, 7 to 40 whole days, a different window each time. The empty "
                "handler is a route of the same service, behind the same middleware, that answers "
                "what it knows; the server alone has neither framework nor middleware. "
                f"{_CONNECTIONS} connections, {_DEPTH} requests under way on each. CPU is that of "
                "the service's process, all threads.",
            )
        ],
        [
            at_least(
                "summary over HTTP, whole days, to an empty handler",
                0.4,
                rates.median("hot") / empty,
            )
        ],
    )


def _again(service: Service, effort: Effort, fresh: Fresh) -> Part:
    window = day_windows()[0]
    asked = {
        "empty handler": lambda: itertools.repeat(service.summary(HOT_SHARE, prefix="bench")),
        "the same question": lambda: itertools.repeat(service.summary(HOT_SHARE, window)),
    }
    rates = _in_turns(service, asked, effort)
    _check_freshness(service, fresh)
    return Part(
        [
            _rates_table(
                "The same question again",
                rates,
                "empty handler",
                "A reply that was recorded in between showed in the next answer, each time it was "
                "tried.",
            )
        ],
        [
            at_least(
                "the same question again, to an empty handler",
                0.8,
                rates.median("the same question") / rates.median("empty handler"),
            )
        ],
    )


def _check_freshness(service: Service, fresh: Fresh) -> None:
    """Raises WrongAnswer where an answer does not have what was acknowledged before."""
    host = urlsplit(service.url).netloc
    resource_type, resource_id, _ = service.data.workload.resource_of_share(HOT_SHARE)
    target = f"/resource-usage/{resource_type}/{resource_id}/usage-summary"
    connection = HTTPConnection(host, timeout=60)
    headers = {"Authorization": f"Bearer {service.key}", "Content-Type": "application/json"}

    def count() -> int:
        connection.request("GET", target, headers=headers)
        return int(msgspec.json.decode(connection.getresponse().read())["available_replies"])

    before = count()
    for expected in range(before + 1, before + 11):
        body = msgspec.json.encode(fresh.take(1))
        connection.request("POST", "/replies", body, headers)
        connection.getresponse().read()
        if (found := count()) != expected:
            raise WrongAnswer(f"{found} replies are told of {expected}")
    connection.close()


def _recording(service: Service, store: Store, effort: Effort, fresh: Fresh) -> Part:
    rates: dict[str, list[float]] = {OURS: [], "the store": []}
    for _ in range(max(3, effort.batches // 4)):
        batches = [fresh.take(_BATCH) for _ in range(4)]
        bodies = [service.recording(batch) for batch in batches]
        answered = send(service.url, iter(bodies), clients=2)
        rates[OURS].append(4 * _BATCH / answered.seconds)
        start = time.perf_counter()
        for batch in batches:
            store.record([Recording(ORG, batch)])
        rates["the store"].append(4 * _BATCH / (time.perf_counter() - start))
    told = Rates(rates)
    return Part(
        [
            _rates_table(
                "Recording over HTTP",
                told,
                "the store",
                "Replies a second in batches of 1,000, two clients, beside the store alone on a "
                "copy of the same data.",
            )
        ],
        [
            at_least(
                "recording over HTTP, batches of 1000, to the store's own rate",
                0.7,
                told.median(OURS) / told.median("the store"),
            )
        ],
    )


def _singles(service: Service, effort: Effort, fresh: Fresh) -> Part:
    rates: dict[str, list[float]] = {"one client": [], f"{CLIENTS} clients": []}
    for _ in range(3):
        for name, clients, share in (("one client", 1, 4), (f"{CLIENTS} clients", CLIENTS, 1)):
            bodies = [
                service.recording([reply])
                for reply in fresh.take(max(effort.singles // share, CLIENTS))
            ]
            rates[name].append(send(service.url, iter(bodies), clients=clients).rate)
    told = Rates(rates)
    return Part(
        [
            _rates_table(
                "Recording one reply at a time",
                told,
                "one client",
                "Replies a second over HTTP, each acknowledged before its client sends the next.",
            )
        ],
        [
            at_least(
                f"recording one reply at a time, {CLIENTS} clients to one",
                5,
                told.median(f"{CLIENTS} clients") / told.median("one client"),
            )
        ],
    )


def _latency(service: Service, effort: Effort, fresh: Fresh) -> Part:
    windows = itertools.cycle(day_windows())

    def ask() -> Answered:
        requests = (service.summary(HOT_SHARE, window) for window in windows)
        return send(service.url, requests, clients=CLIENTS, seconds=3 * effort.seconds)

    ask()
    idle = ask()
    bodies = [msgspec.json.encode(fresh.take(_BATCH)) for _ in range(3 * effort.batches)]
    with _recording_all_the_time(service, bodies) as recorded:
        busy = ask()
    rows = [
        [
            name,
            *(f"{1000 * answered.percentile(share):.2f}" for share in (0.5, 0.99)),
            times(answered.percentile(0.99) / idle.percentile(0.5)),
            f"{answered.rate:,.0f}",
        ]
        for name, answered in (("idle", idle), ("while recording", busy))
    ]
    median = idle.percentile(0.5)
    return Part(
        [
            Table(
                f"Answers over HTTP, {CLIENTS} clients",
                ("summary, hot, whole days, ms", "p50", "p99", "p99 to the idle p50", "a second"),
                rows,
                f"Meanwhile {recorded.count} batches of 1,000 replies were recorded.",
            )
        ],
        [
            at_most(
                f"p99 over HTTP, {CLIENTS} clients, to the median",
                4,
                idle.percentile(0.99) / median,
            ),
            at_most(
                "the same while recording at full rate, to the idle median",
                8,
                busy.percentile(0.99) / median,
            ),
        ],
    )


class _Recorded:
    count = 0


@contextmanager
def _recording_all_the_time(service: Service, bodies: Sequence[bytes]) -> Iterator[_Recorded]:
    """One client sends batch after batch, from the start again when there are no more."""
    stop, recorded = Event(), _Recorded()
    headers = {"Authorization": f"Bearer {service.key}", "Content-Type": "application/json"}

    def record() -> None:
        connection = HTTPConnection(urlsplit(service.url).netloc, timeout=60)
        for number in itertools.count():
            if stop.is_set():
                break
            connection.request("POST", "/replies", bodies[number % len(bodies)], headers)
            connection.getresponse().read()
            recorded.count += 1
        connection.close()

    thread = Thread(target=record)
    thread.start()
    try:
        yield recorded
    finally:
        stop.set()
        thread.join()


def _in_turns(
    service: Service, asked: Mapping[str, Callable[[], Iterator[bytes]]], effort: Effort
) -> Rates:
    rates: dict[str, list[float]] = {name: [] for name in asked}
    cpu: dict[str, list[float]] = {name: [] for name in asked}
    process = child_that_listens(service.url)
    for turn in range(effort.rounds + 1):
        for name, requests in asked.items():
            before = _cpu_seconds(process)
            answered = send(
                service.url,
                requests(),
                clients=_CONNECTIONS,
                depth=_DEPTH,
                seconds=effort.seconds,
            )
            if turn:  # the first one only warms up
                rates[name].append(answered.rate)
                cpu[name].append((_cpu_seconds(process) - before) / len(answered.durations))
    return Rates(rates, cpu)


def _cpu_seconds(process: psutil.Process) -> float:
    taken = process.cpu_times()
    return float(taken.user + taken.system)


def _rates_table(title: str, rates: Rates, reference: str, note: str) -> Table:
    rows = [
        [name, rates.told(name), times(rates.median(name) / rates.median(reference))]
        for name in rates.of
    ]
    columns = ["", "a second (least to most)", f"to {reference}"]
    if rates.cpu:
        columns.append("CPU of a request, µs")
        for row, taken in zip(rows, rates.cpu.values(), strict=True):
            row.append(f"{1e6 * spread_of(taken).median:,.0f}")
    return Table(title, tuple(columns), rows, note)
