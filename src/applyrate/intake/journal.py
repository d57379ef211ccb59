"""The journal of the intake: what arrived, from where, and what of it was rejected and why.

It is for a person who looks for what is wrong with a sender, and no usage is counted by it. So it
is kept in memory and written once a second: a process that is killed takes its last second with
it, and whoever sends something never waits for it.
"""

import asyncio
import sqlite3
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from applyrate.answers import RejectedInput, Source
from applyrate.errors import ApplyrateError, Unavailable
from applyrate.intake.arrivals import OTHER_SERVICES, Sender, SenderCount, hour_of
from applyrate.intake.rejections import (
    MAX_KEPT,
    OTHER_REASONS,
    Fault,
    FaultCount,
    describe_rejection,
)
from applyrate.intake.spans import ObservedSpan
from applyrate.observability.events import Event
from applyrate.observability.logs import tell

if TYPE_CHECKING:
    from applyrate.intake.inbox import Inbox

WRITE_SECONDS: Final = 1.0
TIDY_SECONDS: Final = 3600.0

_MAX_NAMES: Final = 1_000
"""So many senders and faults are told apart between two writes."""

_REJECTING: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
"""The statuses that speak of what was sent, and not of who sent it or when."""


class Notes:
    """What is noted of one organization until it is written; of any size of input, bounded."""

    def __init__(self) -> None:
        self.arrived: dict[Sender, SenderCount] = {}
        self.newest: deque[RejectedInput] = deque(maxlen=MAX_KEPT)
        self.faults: dict[Fault, FaultCount] = {}

    def arrive(self, source: Source, count: int, service: str = "") -> None:
        """Note that so many replies or spans came and were taken; of none, nothing."""
        if not count:
            return
        now = time.time_ns() // 1_000
        sender = (hour_of(now), source, service)
        if sender not in self.arrived and len(self.arrived) >= _MAX_NAMES:
            sender = (hour_of(now), source, OTHER_SERVICES)
        known = self.arrived.setdefault(sender, SenderCount(0, now))
        known.count += count
        known.last_at = now

    def reject(self, rejected: RejectedInput) -> None:
        """Note something that was not taken."""
        self.keep(rejected)
        self.count(rejected.source, rejected.reason, 1)

    def keep(self, rejected: RejectedInput) -> None:
        """Note it to be told as one, without counting it."""
        self.newest.append(rejected)

    def count(self, source: Source, reason: str, count: int) -> None:
        """Note that so much was not taken for one reason, without saying of each which it was."""
        now = datetime.now(UTC)
        fault = (now.date(), source, reason)
        if fault not in self.faults and len(self.faults) >= _MAX_NAMES:
            fault = (now.date(), source, OTHER_REASONS)
        known = self.faults.setdefault(fault, FaultCount(0, now))
        known.count += count
        known.last_at = now


class Journal:
    """The notes of all organizations, on their way into the inbox. It belongs to one event loop."""

    def __init__(self, inbox: "Inbox") -> None:
        self._inbox = inbox
        self._notes: defaultdict[str, Notes] = defaultdict(Notes)
        self._noted = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def of(self, org: str) -> Notes:
        """The notes of an organization, to write something into before anybody else has a turn."""
        self._noted.set()
        return self._notes[org]

    def note_spans(self, org: str, spans: Iterable[ObservedSpan]) -> None:
        """Note spans that were taken, by the services that they came from."""
        for service, count in Counter(span.service for span in spans).items():
            self.of(org).arrive(Source.TRACES, count, service)

    def note_failure(self, org: str, source: Source, error: ApplyrateError) -> None:
        """Note a request that was refused as a whole, if it was for what it held."""
        if error.status in _REJECTING:
            self.of(org).reject(describe_rejection(source, error.message))

    async def run(self) -> None:
        """Write what is noted, and now and then forget what is old, until cancelled."""
        while True:
            await self._in_thread_or_log(self._inbox.forget_notes)
            tidy_at = time.monotonic() + TIDY_SECONDS
            while (left := tidy_at - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._noted.wait()
                await asyncio.sleep(WRITE_SECONDS)
                await self.write()

    async def write(self) -> None:
        """Write what is noted. What cannot be written now is lost, and the log says so."""
        self._noted.clear()
        notes, self._notes = self._notes, defaultdict(Notes)
        if notes:
            await self._in_thread_or_log(lambda: self._inbox.write_notes(notes))

    async def close(self) -> None:
        """Write the rest."""
        await self.write()
        self._thread.shutdown()

    async def _in_thread_or_log(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, Unavailable) as error:
            tell(Event.JOURNAL_NOT_WRITTEN, problem=str(error))
