"""Delivery: lines go in and return at once; a thread sends them, for as long as it takes."""

# The three that are not used here are for httpx and socket, which import them when they first
# need them. Were the process forked while the thread is at it, the child would wait for ever.
import encodings.idna  # noqa: F401
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import certifi  # noqa: F401
import httpcore  # noqa: F401

from applyrate.answers import RecordingReceipt
from applyrate.client import processes
from applyrate.client.backlog import MAX_BATCH_BYTES, MAX_BATCH_LINES, Backlog
from applyrate.client.backoff import backoff_seconds
from applyrate.client.client import Client
from applyrate.client.complaints import Complaint
from applyrate.client.operations import record_lines
from applyrate.errors import (
    ApplyrateError,
    InvalidInput,
    PayloadTooLarge,
    RequestTimeout,
    TooManyRequests,
    Unavailable,
)

_FIRST_DELAY_SECONDS: Final = 0.5
_LONGEST_DELAY_SECONDS: Final = 30.0
_LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
_SERVER_FAULT: Final = 500


class Delivery:
    """What a recorder hands over is sent in batches, in its order, until it is settled.

    Settled is what the service has on disk, or refuses for good. Everything else is tried again:
    soon, with growing delays, after a broken connection, 429 or a 5xx; slowly after an answer that
    someone must mend, such as 401. The thread starts with the first line. A forked child has a
    delivery of its own, empty, while the parent sends what was there before.
    """

    _ends_at: float

    def __init__(
        self, connect: Callable[[], Client], backlog: Backlog, *, delay_seconds: float
    ) -> None:
        self._connect = connect
        self._delay_seconds = delay_seconds
        self._begin(backlog)
        processes.register(self)
        with self._changed:
            if backlog.count:
                self._start_thread()

    def add(self, line: bytes) -> None:
        """Take a line, or drop it where there is no room; never waits, never raises."""
        if reason := self._refuse(line):
            self.drop(reason)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count replies as lost."""
        with self._changed:
            self.dropped_count += count
        self._drops.add(reason, count)

    def flush(self, timeout_seconds: float) -> bool:
        """Send what was added before this call; whether all of it is settled in that time."""
        with self._changed:
            target = self._added_count
            self._hurry(target)
            self._changed.wait_for(
                lambda: self._settled_count >= target or self._has_left, timeout_seconds
            )
            return self._settled_count >= target

    def end(self, timeout_seconds: float) -> None:
        """Take no more, and go on sending for that long, without waiting for it here."""
        with self._changed:
            self._ends_at = min(self._ends_at, time.monotonic() + timeout_seconds)
            self._hurry(self._added_count)
            is_idle = self._thread is None
        if is_idle:
            self._leave()

    def close(self, timeout_seconds: float) -> bool:
        """End and wait for it; whether all is settled."""
        self.end(timeout_seconds)
        thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join(timeout_seconds)
        self._leave()
        return self._settled_count >= self._added_count

    def start_over(self) -> None:
        """Become the delivery of a forked child, in which no other thread runs."""
        self._begin(self._backlog.start_over())

    def _begin(self, backlog: Backlog) -> None:
        self._changed = threading.Condition()
        self._backlog = backlog
        self._thread: threading.Thread | None = None
        self._added_count = backlog.count
        self._settled_count = 0
        self.dropped_count = 0
        self._hurried_count = 0
        self._hurries = 0
        self._ends_at = math.inf
        self._has_left = False
        self._attempt = 0
        self._max_bytes = MAX_BATCH_BYTES
        self._drops = Complaint(logging.ERROR, "%d replies were dropped; the last: %s")
        self._delays = Complaint(logging.WARNING, "tries to send that failed: %d; the last: %s")
        self._refusals = Complaint(
            logging.ERROR, "tries to send that were refused: %d; the last: %s"
        )

    def _refuse(self, line: bytes) -> str | None:
        """Why a line is not taken; None where it is."""
        if len(line) >= MAX_BATCH_BYTES:
            return f"one reply has {len(line)} bytes; send fewer usages in one reply"
        with self._changed:
            if self._ends_at < math.inf:
                return "the recorder is closed"
            try:
                if not self._backlog.add(line):
                    return "too many wait to be sent already"
            except OSError as error:
                return f"the folder does not take it: {error}"
            self._added_count += 1
            if self._thread is None:
                self._start_thread()
            elif self._backlog.count in (1, MAX_BATCH_LINES):
                self._changed.notify_all()
        return None

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="applyrate-recorder", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._delays.add(f"no thread can be started: {error}")  # the next line tries again
        else:
            self._thread = thread

    def _hurry(self, target: int) -> None:
        """Send at once, up to that line: no lingering, and one try without the rest of a delay."""
        self._hurried_count = max(self._hurried_count, target)
        self._hurries += 1
        self._changed.notify_all()

    def _run(self) -> None:
        client: Client | None = None
        while True:
            try:
                if not (lines := self._next_batch()):
                    break
                client = client or self._connect()
                self._send(client, lines)
            except Exception:
                # Whatever it is, the agent must not lose the thread by it.
                logging.getLogger("applyrate").exception("sending failed")
                self._pause(_long_delay_seconds(), firm=True)
        if client:
            client.close()
        self._leave()

    def _next_batch(self) -> list[bytes]:
        """The lines to send now, once there are some; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._backlog.count or self._is_over())
            self._changed.wait_for(
                lambda: (
                    self._backlog.count >= MAX_BATCH_LINES
                    or self._settled_count < self._hurried_count
                    or self._is_over()
                ),
                self._delay_seconds,
            )
            return [] if self._is_over() else self._backlog.first(self._max_bytes)

    def _is_over(self) -> bool:
        ends = self._ends_at < math.inf
        return ends and (self._backlog.count == 0 or time.monotonic() >= self._ends_at)

    def _send(self, client: Client, lines: Sequence[bytes]) -> None:
        try:
            receipt = client.carry_out(record_lines(lines))
        except InvalidInput as error:
            self.drop(f"the service refused them: {error.message}", len(lines))
            self._settle(lines)
        except PayloadTooLarge as error:
            if len(lines) > 1:
                self._max_bytes = sum(len(line) + 1 for line in lines) // 2
            else:
                self.drop(f"the service refused it: {error.message}")
                self._settle(lines)
        except ApplyrateError as error:
            self._wait_after(error)
        else:
            self._drop_rejected(receipt, len(lines))
            self._settle(lines)

    def _settle(self, lines: Sequence[bytes]) -> None:
        with self._changed:
            self._attempt = 0
            if not self._has_left:
                self._backlog.remove(lines)
                self._settled_count += len(lines)
                self._changed.notify_all()

    def _drop_rejected(self, receipt: RecordingReceipt, count: int) -> None:
        rejected_count = count - receipt.accepted - receipt.duplicates
        if rejected_count > 0 and receipt.rejected:
            first = receipt.rejected[0]
            reason = f"the service refused {first.reply_id!r}: {first.message}"
            self.drop(reason, rejected_count)

    def _wait_after(self, error: ApplyrateError) -> None:
        try:
            self._backlog.keep()
        except OSError as trouble:
            self._delays.add(f"the folder cannot be forced to the disk: {trouble}")
        delay = backoff_seconds(
            self._attempt, first=_FIRST_DELAY_SECONDS, longest=_LONGEST_DELAY_SECONDS
        )
        self._attempt += 1
        if isinstance(error, TooManyRequests | Unavailable):
            self._delays.add(error.message)
            asked = min(error.retry_after_seconds, _LONGEST_RETRY_AFTER_SECONDS)
            self._pause(asked + delay, firm=True)
        elif error.status >= _SERVER_FAULT or isinstance(error, RequestTimeout):
            self._delays.add(error.message)
            self._pause(delay, firm=False)
        else:
            self._refusals.add(f"{int(error.status)}: {error.message}")
            self._pause(_long_delay_seconds(), firm=False)

    def _pause(self, seconds: float, *, firm: bool) -> None:
        """Wait, unless someone is in a hurry; ``firm``: even then."""
        until = time.monotonic() + seconds
        with self._changed:
            hurries = self._hurries
            while firm or self._hurries == hurries:
                left = min(until, self._ends_at) - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)
            self._attempt = 0

    def _leave(self) -> None:
        with self._changed:
            if self._has_left:
                return
            self._has_left = True
            lost = self._backlog.leave()
            self._changed.notify_all()
        if lost:
            self.drop("the recorder was closed before they could be sent", lost)
        self._drops.tell()


def _long_delay_seconds() -> float:
    """The time to the next try where only a person can mend what is wrong."""
    return random.uniform(30, 60)  # noqa: S311 (no secret)
