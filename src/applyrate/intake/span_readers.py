"""Reading exports beside the service: bytes to observed spans, the most of an export's work.

Python does one thing at a time in a process. So long bodies are read in processes of their own,
while the service keeps spans and derives replies. Reading is pure: what cannot be had of a process,
because it is starting or was killed, a thread does as well.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from applyrate.intake.conventions import Rules, observe
from applyrate.intake.otlp import decode_json, decode_protobuf
from applyrate.intake.otlp.decoded import RefusedSpan
from applyrate.intake.spans import ObservedSpan
from applyrate.observability.events import Event
from applyrate.observability.logs import tell

MAX_BYTES_IN_LOOP: Final = 32_768
"""A shorter body is read at once, where it came."""

_THREADS: Final = 4
_START_PAUSE_SECONDS: Final = 1.0
"""Processes that keep dying are not started at every body."""


class SpansRead(Struct, frozen=True, array_like=True):
    """The spans of an export, and how many of it were refused for good, with the reasons.

    ``refused`` are the first of them, ``rules`` says how many broke which.
    """

    spans: list[ObservedSpan]
    refused_count: int
    message: str
    refused: list[RefusedSpan]
    rules: dict[str, int]


def read_spans(body: bytes, rules: Rules, *, is_json: bool) -> SpansRead:
    """The spans of a body in either encoding. Raises InvalidInput, PayloadTooLarge."""
    decoded = (decode_json if is_json else decode_protobuf)(body)
    spans = [observe(span, rules) for span in decoded.spans]
    return SpansRead(spans, decoded.refused_count, decoded.message, decoded.refused, decoded.rules)


class SpanReaders:
    """The processes and threads that read. They belong to one event loop.

    ``is_without_processes``: the processes were lost, and have not started again.
    """

    def __init__(self, process_count: int) -> None:
        self._process_count = process_count
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spans")
        self._processes: ProcessPoolExecutor | None = None
        self._started: Future[None] | None = None
        self._start_at = 0.0
        self.is_without_processes = False

    async def read(self, body: bytes, rules: Rules, *, is_json: bool) -> SpansRead:
        """The spans of a body, as ``read_spans`` has it."""
        if len(body) <= MAX_BYTES_IN_LOOP:
            return read_spans(body, rules, is_json=is_json)
        run = asyncio.get_running_loop().run_in_executor
        if processes := self._ready_processes():
            try:
                packed = await run(processes, partial(_read_packed, body, rules, is_json=is_json))
                return await run(self._threads, _UNPACK, packed)
            except BrokenProcessPool:
                self._lose_processes()
        return await run(self._threads, partial(read_spans, body, rules, is_json=is_json))

    def close(self) -> None:
        """End the processes and threads."""
        if self._processes:
            self._processes.shutdown(cancel_futures=True)
        self._threads.shutdown()

    def _ready_processes(self) -> ProcessPoolExecutor | None:
        """The processes once they have started, which the first long body makes them do."""
        if self._started and self._started.done() and self._started.exception():
            self._lose_processes()
        if self._processes is None and self._process_count and time.monotonic() >= self._start_at:
            self._start_at = time.monotonic() + _START_PAUSE_SECONDS
            self._processes = ProcessPoolExecutor(
                self._process_count,
                # A fork would copy locks that other threads hold.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_live_with_the_service,
            )
            self._started = self._processes.submit(_answer)
            self._started.add_done_callback(self._note_start)
        return self._processes if self._started and self._started.done() else None

    def _note_start(self, started: "Future[None]") -> None:
        if not started.cancelled() and not started.exception():
            self.is_without_processes = False

    def _lose_processes(self) -> None:
        self._processes = self._started = None
        self.is_without_processes = True
        tell(Event.SPAN_PROCESSES_LOST)


def _read_packed(body: bytes, rules: Rules, *, is_json: bool) -> bytes:
    return _PACK(read_spans(body, rules, is_json=is_json))


def _answer() -> None:
    """Say that a process has started and imported what it needs."""


def _live_with_the_service() -> None:
    """Leave an interrupt to the service, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    service = multiprocessing.parent_process()

    def end_with_it() -> None:
        if service:
            service.join()
        os._exit(0)

    threading.Thread(target=end_with_it, daemon=True).start()


_PACK: Final = msgspec.msgpack.Encoder().encode
_UNPACK: Final = msgspec.msgpack.Decoder(SpansRead).decode
