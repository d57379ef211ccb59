"""A soak: recording and asking at half of what the service can take, for as long as it is told.

``python -m tests.soak --minutes 120`` first measures how much it can take, then sends half of that,
and prints figures as it goes. Nothing may fail, the counts must be those of what was sent, and the
memory must be flat: in the last quarter it may be no more than a tenth above the second quarter.

The store's caches grow with the data until they are full, which takes the better part of an hour.
So a shorter soak has small ones: what still grows then is no cache.
"""

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from msgspec import Struct

from applyrate.backups import check_files
from tests.servers import Server, running_server

CLIENTS = 4
BATCH_REPLIES = 20
CONVERSATIONS = 5_000
RESOURCES = 300
QUESTIONS_PER_BATCH = 1
MEASURED_SHARE = 0.2
MAX_MEASURED_SECONDS = 20.0
MEMORY_SLACK = 1.10
FILLING_SECONDS = 3_600
SMALL_CACHES = """
from applyrate.store.sqlite import SQLiteStore, database
database._WRITER_CACHE_KIB = database._READER_CACHE_KIB = 1_024
SQLiteStore.__init__.__kwdefaults__["max_kept_bytes"] = 4_000_000
"""


class Soaked(Struct, kw_only=True):
    """What a soak did. Rates are a second; latencies milliseconds, as clients saw them."""

    seconds: float
    capacity: float
    rate: float
    replies: int
    questions: int
    failures: list[str]
    memory_mb: list[float]
    latencies: list[float]
    faults: list[str]
    counted: int

    @property
    def memory_growth(self) -> float:
        """The memory in the last quarter of the time against that in the second one."""
        quarter = len(self.memory_mb) // 4
        return median(self.memory_mb[-quarter:]) / median(self.memory_mb[quarter : 2 * quarter])


def main() -> None:
    """Run the soak that the arguments ask for, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    minutes: float = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="applyrate-soak-") as folder:
        soaked = run_soak(Path(folder) / "data", minutes * 60, tell=_print)
    ordered = sorted(soaked.latencies)
    _print(f"{soaked.seconds:,.0f} s at {soaked.rate:,.0f} replies a second")
    _print(f"  of the {soaked.capacity:,.0f} that it could take")
    _print(f"{soaked.replies:,} replies, {soaked.questions:,} questions")
    _print(f"{len(soaked.failures)} failures, {len(soaked.faults)} faults")
    half, most = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    _print(f"latency {half:.1f} ms, at the 99th percentile {most:.1f} ms")
    _print(f"memory {soaked.memory_mb[0]:.0f} MB at first, {soaked.memory_mb[-1]:.0f} MB at last")
    _print(f"  last quarter against second: {soaked.memory_growth:.3f}")
    if problems := problems_of(soaked):
        raise SystemExit("; ".join(problems))


def problems_of(soaked: Soaked, memory_slack: float = MEMORY_SLACK) -> list[str]:
    """What should not have been; none after a soak that went well."""
    problems = soaked.failures[:3] + soaked.faults[:3]
    if soaked.counted != soaked.replies:
        problems.append(f"{soaked.counted} replies are counted, and {soaked.replies} were recorded")
    if soaked.memory_growth > memory_slack:
        problems.append(f"the memory has grown by a factor of {soaked.memory_growth:.2f}")
    return problems


def run_soak(data: Path, seconds: float, *, tell: Callable[[str], None] = lambda _: None) -> Soaked:
    """Measure, then soak for the rest of that time."""
    measured_seconds = min(seconds * MEASURED_SHARE, MAX_MEASURED_SECONDS)
    prelude = SMALL_CACHES if seconds < FILLING_SECONDS else ""
    with running_server(data, prelude=prelude) as server:
        key = server.new_key("acme")
        load = _Load(server.url, key)
        started_at = time.monotonic()
        load.run(None, measured_seconds, lambda: None)
        capacity = load.replies / (time.monotonic() - started_at)
        tell(f"it can take {capacity:,.0f} replies a second, with as many questions in between")
        load.latencies.clear()
        before, started_at = load.replies, time.monotonic()
        memory = _Memory(server, load, tell)
        load.run(capacity / 2, seconds - measured_seconds, memory.note)
        elapsed = time.monotonic() - started_at
        rate = (load.replies - before) / elapsed
        with closing(httpx.Client(base_url=server.url, headers=load.headers)) as client:
            answer = client.get("/resource-usage/action/look/usage-summary").json()
    return Soaked(
        seconds=elapsed,
        capacity=capacity,
        rate=rate,
        replies=load.replies,
        questions=load.questions,
        failures=load.failures,
        memory_mb=memory.megabytes,
        latencies=load.latencies,
        faults=list(check_files(data)),
        counted=answer["applied_replies"],
    )


class _Load:
    """Clients that record batches and ask in between, as fast as they can or at a rate."""

    def __init__(self, url: str, key: str) -> None:
        self.headers = {"Authorization": f"Bearer {key}"}
        self.replies = 0
        self.questions = 0
        self.failures: list[str] = []
        self.latencies: list[float] = []
        self._url = url
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def run(self, rate: float | None, seconds: float, note: Callable[[], None]) -> None:
        """Send for so long; ``note`` is called once a second."""
        ends_at = time.monotonic() + seconds
        pause = None if rate is None else CLIENTS * BATCH_REPLIES / rate
        threads = [
            threading.Thread(target=self._send, args=(ends_at, pause)) for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        while time.monotonic() < ends_at and not self.failures:
            note()
            time.sleep(min(1.0, max(0.0, ends_at - time.monotonic())))
        for thread in threads:
            thread.join()

    def _send(self, ends_at: float, pause: float | None) -> None:
        with httpx.Client(base_url=self._url, headers=self.headers, timeout=60) as client:
            due_at = time.monotonic()
            while time.monotonic() < ends_at and not self.failures:
                try:
                    self._send_batch(client)
                except (httpx.TransportError, AssertionError) as error:
                    self.failures.append(repr(error))
                if pause is not None:
                    due_at += pause
                    time.sleep(max(0.0, due_at - time.monotonic()))

    def _send_batch(self, client: httpx.Client) -> None:
        first = next(self._numbers) * BATCH_REPLIES
        sent = [_reply(number) for number in range(first, first + BATCH_REPLIES)]
        recorded_in = self._ask(client.post, "/replies", json=sent)
        asked = f"/resource-usage/{_KINDS[first % 3]}"
        if first % 7:
            asked += f"/res{first % RESOURCES}/usage-summary"
        answered_in = self._ask(client.get, asked)
        with self._lock:
            self.replies += BATCH_REPLIES
            self.questions += QUESTIONS_PER_BATCH
            self.latencies += (recorded_in, answered_in)

    def _ask(self, ask: Callable[..., httpx.Response], path: str, **more: Any) -> float:
        started_at = time.monotonic()
        answer = ask(path, **more)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return (time.monotonic() - started_at) * 1000


class _Memory:
    """What the service takes of it (RSS), once a second."""

    def __init__(self, server: Server, load: _Load, tell: Callable[[str], None]) -> None:
        self.megabytes: list[float] = []
        self._process = psutil.Process(server.process.pid)
        self._load = load
        self._tell = tell

    def note(self) -> None:
        """Look once."""
        self.megabytes.append(self._process.memory_info().rss / 1e6)
        if len(self.megabytes) % 60 == 0:
            minutes, replies = len(self.megabytes) // 60, self._load.replies
            self._tell(f"{minutes} min: {replies:,} replies, {self.megabytes[-1]:.0f} MB")


_KINDS = ("instruction", "knowledge", "action")


def _reply(number: int) -> dict[str, Any]:
    """One of the replies of an agent whose days go by quickly."""
    day, minute = number // 20_000 % 28, number % 1_440
    return {
        "reply_id": f"r{number}",
        "session_id": f"s{number % CONVERSATIONS}",
        "replied_at": f"2026-03-{1 + day:02}T{minute // 60:02}:{minute % 60:02}:00Z",
        "available": {
            "instruction": [f"res{(number + step) % RESOURCES}" for step in range(8)],
            "knowledge": [f"res{number * 7 % RESOURCES}"],
        },
        "applied": {"instruction": [f"res{number % RESOURCES}"], "action": ["look"]},
    }


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
