"""Whether the service can do its work now, part by part."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Final

import msgspec

from applyrate.answers import Part, PartStatus, ReadyParts
from applyrate.errors import ApplyrateError
from applyrate.intake.group_commit import GroupCommit
from applyrate.intake.traces import Traces
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.settings import Settings
from applyrate.store import Store

KEPT_SECONDS: Final = 1.0
"""An answer serves all who ask within so long."""

PATIENCE_SECONDS: Final = 0.5
"""So long an answer waits for a database; while it is busy, the part is as it was."""

STUCK_SECONDS: Final = 10.0
"""A database that takes longer for a change is failing."""


class Readiness:
    """The parts of the service, looked at when somebody asks. It belongs to one event loop.

    Databases are written to, by the same way as whatever is recorded, and changed in nothing. A
    part that changes is logged. A store on other machines that is away is a part degraded: nobody
    is answered a question, and whatever is recorded is taken all the same.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        commits: GroupCommit,
        traces: Traces,
        readers: Executor,
    ) -> None:
        self._settings = settings
        self._store = store
        self._traces = traces
        self._readers = readers
        self._store_writes = _Writes(lambda: commits.write(store.probe))
        self._inbox_writes = _Writes(traces.probe)
        self._looking = asyncio.Lock()
        self._looked_at = -float("inf")
        self.parts: Mapping[str, Part] = {}
        """The parts by name, as they were when somebody last asked."""

    async def look(self) -> ReadyParts:
        """How each part is, now or a second ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at > KEPT_SECONDS:
                found = await self._look()
                self._looked_at = time.monotonic()
                for name, part in found.items():
                    _tell_change(name, self.parts.get(name, _OK), part)
                self.parts = found
        return ReadyParts(**self.parts)

    async def _look(self) -> dict[str, Part]:
        store, inbox, (disk, migrations) = await asyncio.gather(
            self._store_writes.look(),
            self._inbox_writes.look(),
            asyncio.get_running_loop().run_in_executor(self._readers, self._look_at_files),
        )
        if self._store.is_remote and store.status is PartStatus.FAILING:
            store = msgspec.structs.replace(store, status=PartStatus.DEGRADED)
        return {
            "store": store,
            "inbox": inbox,
            "disk": disk,
            "migrations": migrations,
            "span_processes": self._look_at_span_processes(),
        }

    def _look_at_files(self) -> tuple[Part, Part]:
        return _attempt(self._look_at_disk), _attempt(self._look_at_migrations)

    def _look_at_disk(self) -> Part:
        free, least = (
            shutil.disk_usage(self._settings.data_path).free,
            self._settings.min_free_bytes,
        )
        if free >= least:
            return _OK
        return _failing(
            f"the data folder's disk has {free} bytes free; {least} are wanted"
            " (APPLYRATE_MIN_FREE_BYTES)"
        )

    def _look_at_migrations(self) -> Part:
        differing = self._traces.inbox.foreign_migrations()
        if not self._store.is_remote:  # of one on other machines they are looked at at the start
            differing = self._store.foreign_migrations() + differing
        if not differing:
            return _OK
        return _failing(
            f"the data and this version differ in {', '.join(differing)}; start the newest version"
        )

    def _look_at_span_processes(self) -> Part:
        if not self._traces.readers.is_without_processes:
            return _OK
        problem = "the processes that decode spans ended; threads do it until they start again"
        return Part(PartStatus.DEGRADED, problem)


class _Writes:
    """The writer of a database, which is asked for one change at a time."""

    def __init__(self, write: Callable[[], Awaitable[None]]) -> None:
        self._write = write
        self._under_way: asyncio.Future[None] | None = None
        self._began_at = 0.0
        self._last = _OK

    async def look(self) -> Part:
        if self._under_way is None:
            self._under_way = asyncio.ensure_future(self._write())
            self._began_at = time.monotonic()
        await asyncio.wait((self._under_way,), timeout=PATIENCE_SECONDS)
        if self._under_way.done():
            error, self._under_way = self._under_way.exception(), None
            self._last = _failing(str(error)) if error else _OK
        elif time.monotonic() - self._began_at > STUCK_SECONDS:
            self._last = _failing(f"a change is under way for more than {STUCK_SECONDS:.0f} s")
        return self._last


def _attempt(look: Callable[[], Part]) -> Part:
    try:
        return look()
    except (OSError, sqlite3.Error, ApplyrateError) as error:
        return _failing(str(error))


def _tell_change(name: str, before: Part, now: Part) -> None:
    if now.status is PartStatus.OK and before.status is not PartStatus.OK:
        tell(Event.PART_READY, part=name)
    elif now.status is not before.status:
        tell(Event.PART_NOT_READY, part=name, status=now.status, problem=now.problem)


def _failing(problem: str) -> Part:
    return Part(PartStatus.FAILING, problem)


_OK: Final = Part(PartStatus.OK)


def failing_parts(parts: ReadyParts) -> dict[str, Part]:
    """Those that keep the service from being ready, by name."""
    return {
        name: part
        for name, part in msgspec.structs.asdict(parts).items()
        if part.status is PartStatus.FAILING
    }
